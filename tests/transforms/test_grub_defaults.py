"""/etc/default/grub in every shape a shell takes: what the next grub.cfg is made from."""

from __future__ import annotations

import pytest

from tests.transforms.grub_machines import BOTH, after, kernels, machine, menu, plan_of

DEFAULTS, CFG = "/etc/default/grub", "/boot/grub/grub.cfg"
CLOUD, LATER = "/etc/default/grub.d/50-cloudimg-settings.cfg", "/etc/default/grub.d/60-own.cfg"
UDEV = {"/lib/udev/rules.d/80-net-setup-link.rules": "x"}
MORE = "net.ifnames=0 biosdevname=0"
LIST = "GRUB_CMDLINE_LINUX_DEFAULT"
TUNED = f'{LIST}="${{{LIST}:+${LIST} }}\\$tuned_params"\n'  # as tuned's profile leaves it
TUNED += 'GRUB_INITRD_OVERLAY="${GRUB_INITRD_OVERLAY:+$GRUB_INITRD_OVERLAY }\\$tuned_initrd"\n'
DISTRIBUTOR = "GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`\n"


def planned(files: dict[str, str], links: dict[str, str] | None = None) -> dict[str, str]:
    guest = machine({CFG: menu("6.9"), **kernels(v6_9=BOTH), **UDEV, **files}, links=links)
    done = after(guest, plan_of(guest))
    return {path: done.text(path) or "" for path in files}


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("GRUB_TIMEOUT=0\n", "GRUB_TIMEOUT=5\n"),
        ("GRUB_TIMEOUT='0' # now\n", "GRUB_TIMEOUT='5' # now\n"),
        ('export GRUB_TIMEOUT="0"\n', 'export GRUB_TIMEOUT="5"\n'),
        ("GRUB_TIMEOUT=0 GRUB_DEFAULT=0\n", "GRUB_TIMEOUT=5 GRUB_DEFAULT=0\n"),
        ("GRUB_TIMEOUT=5\nGRUB_TIMEOUT=0\n", "GRUB_TIMEOUT=5\nGRUB_TIMEOUT=5\n"),
        ("GRUB_TIMEOUT=0\nGRUB_TIMEOUT=3\n", "GRUB_TIMEOUT=0\nGRUB_TIMEOUT=3\n"),
        ("#GRUB_TIMEOUT=0\n", "#GRUB_TIMEOUT=0\n"),
        ("GRUB_TIMEOUT=\n", "GRUB_TIMEOUT=\n"),
        ("  GRUB_TIMEOUT=0\r\n", "  GRUB_TIMEOUT=5\r\n"),
        ("GRUB_TIMEOUT = 0\n", "GRUB_TIMEOUT = 0\n"),
        ("if true; then GRUB_TIMEOUT=0; fi\n", "if true; then GRUB_TIMEOUT=0; fi\n"),
        (TUNED + "GRUB_TIMEOUT=0\n", TUNED + "GRUB_TIMEOUT=5\n"),
        (DISTRIBUTOR + "GRUB_TIMEOUT=0\n", DISTRIBUTOR + "GRUB_TIMEOUT=5\n"),
    ],
)
def test_a_timeout_is_changed_where_it_is_set_last(before: str, wanted: str) -> None:
    line = f'GRUB_CMDLINE_LINUX="{MORE}"\n'
    assert planned({DEFAULTS: line + before}) == {DEFAULTS: line + wanted}


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ('GRUB_CMDLINE_LINUX="a \\\n  b"\n', f'GRUB_CMDLINE_LINUX="a \\\n  b {MORE}"\n'),
        ("GRUB_CMDLINE_LINUX='a'\n", f"GRUB_CMDLINE_LINUX='a {MORE}'\n"),
        ("GRUB_CMDLINE_LINUX=quiet\n", f'GRUB_CMDLINE_LINUX="quiet {MORE}"\n'),
        ("export GRUB_CMDLINE_LINUX=\n", f'export GRUB_CMDLINE_LINUX="{MORE}"\n'),
        # that sets nothing: a shell runs `splash` with the variable in its environment
        (
            "GRUB_CMDLINE_LINUX=quiet splash\n",
            f'GRUB_CMDLINE_LINUX=quiet splash\nGRUB_CMDLINE_LINUX="{MORE}"\n',
        ),
        (
            'GRUB_CMDLINE_LINUX="a"\nGRUB_CMDLINE_LINUX="b"',
            f'GRUB_CMDLINE_LINUX="a"\nGRUB_CMDLINE_LINUX="b {MORE}"',
        ),
        (
            'GRUB_CMDLINE_LINUX="a"\nGRUB_CMDLINE_LINUX+=" b"\n',
            f'GRUB_CMDLINE_LINUX="a"\nGRUB_CMDLINE_LINUX+=" b {MORE}"\n',
        ),
        (
            'GRUB_CMDLINE_LINUX="rd.lvm.lv=cl/root rhgb"\n',
            f'GRUB_CMDLINE_LINUX="rd.lvm.lv=cl/root rhgb {MORE}"\n',
        ),
        (TUNED, f'{TUNED}GRUB_CMDLINE_LINUX="{MORE}"\n'),
    ],
)
def test_words_join_the_list_that_counts(before: str, wanted: str) -> None:
    assert planned({DEFAULTS: before}) == {DEFAULTS: wanted}


def test_ubuntu_s_cloud_images_have_the_last_word_in_a_drop_in() -> None:
    files = {
        DEFAULTS: f'GRUB_TIMEOUT_STYLE=hidden\nGRUB_TIMEOUT=5\n{LIST}="quiet"\nGRUB_CMDLINE_LINUX=""\n',
        CLOUD: 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX_DEFAULT="console=tty1 resume=/dev/sda3"\n',
        LATER: "GRUB_RECORDFAIL_TIMEOUT=-1\n",
    }
    assert planned(files) == {
        DEFAULTS: files[DEFAULTS].replace('LINUX=""', f'LINUX="{MORE}"'),
        CLOUD: 'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="console=tty1 resume=UUID=5a5a-swap"\n',
        LATER: "GRUB_RECORDFAIL_TIMEOUT=5\n",
    }


@pytest.mark.parametrize(
    ("real", "link"), [(DEFAULTS, "/etc/sysconfig/grub"), ("/etc/sysconfig/grub", DEFAULTS)]
)
def test_red_hat_s_link_stays_a_link(real: str, link: str) -> None:
    files = {real: f'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX="{MORE}"\n'}
    guest = machine({CFG: menu("6.9"), **kernels(v6_9=BOTH), **files}, links={link: real})
    changes = [change.path for change in plan_of(guest).changes]
    assert real in changes
    assert link not in changes


def test_red_hat_6_s_etc_sysconfig_grub_is_another_thing() -> None:
    text = "boot=/dev/sda\nforcelba=0\n"
    assert planned({"/etc/sysconfig/grub": text}) == {"/etc/sysconfig/grub": text}
