"""M-09: the default entry and the timeout, where GRUB reads them and where the next menu is made from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imgpatch.formats import grubenv
from imgpatch.inspection.bootloader import inspect_bootloader
from imgpatch.plan import NoteKind
from tests import grub_corpus
from tests.transforms.grub_machines import (
    BOTH,
    ESP,
    ROOT,
    SAVED_HEAD,
    XEN_ONLY,
    after,
    block,
    kernels,
    machine,
    menu,
    plan_of,
    text_after,
)

Files = dict[str, str | bytes]
CFG = "/boot/grub/grub.cfg"
ENV = "/boot/grub/grubenv"
DEFAULTS = "/etc/default/grub"
NEW, OLD = "gnulinux-advanced-U>gnulinux-6.9-advanced-U", "gnulinux-advanced-U>gnulinux-6.1-advanced-U"
TWO = kernels(v6_9=BOTH, v6_1=BOTH)


def head(default: str) -> str:
    return f'set default="{default}"\nset timeout=5\n'


@pytest.mark.parametrize(
    ("default", "pinned"),
    [
        ("0", NEW),
        ("1", NEW),
        ("1>2", OLD),
        ("Advanced>Linux 6.1", "Advanced>Linux 6.1"),
        (OLD, OLD),
        ("nothing of the sort", NEW),
    ],
)
def test_the_default_names_the_kernel_that_boots_today(default: str, pinned: str) -> None:
    guest = machine({CFG: menu("6.9", "6.1", head=head(default)), **TWO})
    text = text_after(guest, CFG)
    assert f'set default="{pinned}"\n' in text
    assert len(grub_corpus.changed_lines(guest.text(CFG) or "", text)) == (default != pinned)


@pytest.mark.parametrize(("default", "pinned"), [("0", "gnulinux-simple-U"), ("1>2", OLD)])
def test_an_entry_behind_a_password_is_no_default_where_today_s_is_not(default: str, pinned: str) -> None:
    """Debian's 10_linux with `--unrestricted` in CLASS: its submenu has no class, so it stays closed."""
    users = 'set superusers="root"\npassword_pbkdf2 root grub.pbkdf2.sha512.10000.AB.CD\n'
    text = menu("6.9", "6.1", head=users + head(default)).replace("' $menu", "' --unrestricted $menu")
    guest = machine({CFG: text.replace("'Advanced' --unrestricted", "'Advanced'"), **TWO})
    assert f'set default="{pinned}"\n' in text_after(guest, CFG)
    assert any("password" in note.text for note in plan_of(guest).notes) == (pinned == OLD)


def test_a_kernel_that_cannot_run_on_ec2_is_passed_over() -> None:
    guest = machine(
        {CFG: menu("6.9", "6.1"), **kernels(v6_9=XEN_ONLY, v6_1=BOTH), DEFAULTS: "GRUB_DEFAULT=0\n"}
    )
    plan = plan_of(guest)
    done = after(guest, plan)
    assert f'set default="{OLD}"' in (done.text(CFG) or "")
    assert done.text(DEFAULTS) == f'GRUB_DEFAULT="{OLD}"\n'
    reasons = [reason.text for change in plan.changes for reason in change.reasons]
    assert any("/boot/vmlinuz-6.9 has no nvme driver" in text for text in reasons)


def test_where_no_kernel_can_run_today_s_stays_with_a_warning() -> None:
    guest = machine({CFG: menu("6.9", "6.1"), **kernels(v6_9=XEN_ONLY, v6_1="")})
    plan = plan_of(guest)
    assert f'set default="{NEW}"' in (after(guest, plan).text(CFG) or "")
    assert [note.kind for note in plan.notes] == [NoteKind.WARNING]


def test_a_kernel_that_is_gone_is_passed_over() -> None:
    guest = machine({CFG: menu("6.9", "6.1"), **kernels(v6_1=BOTH)})
    assert f'set default="{OLD}"' in text_after(guest, CFG)


def test_a_hypervisor_is_passed_over() -> None:
    xen = "menuentry 'Xen' {\n multiboot /boot/xen.gz\n module /boot/vmlinuz-6.1 root=x\n module /boot/i\n}\n"
    cfg = head("Xen") + xen + menu("6.1", head="")
    guest = machine({CFG: cfg, **kernels(v6_1=BOTH), "/boot/xen.gz": "x"})
    assert f'set default="{OLD}"' in text_after(guest, CFG)


@pytest.mark.parametrize(
    ("before", "saved"),
    [
        ({"saved_entry": "1>2"}, OLD),
        ({}, "gnulinux-simple-U"),  # the newest kernel, today and later: GRUB keeps what is saved for ever
        ({"saved_entry": "0"}, "gnulinux-simple-U"),
        ({"saved_entry": OLD}, OLD),
        ({"saved_entry": "Linux"}, "Linux"),
    ],
)
def test_a_saved_default_is_pinned_in_the_environment_block(before: dict[str, str], saved: str) -> None:
    cfg = menu("6.9", "6.1", head=SAVED_HEAD)
    guest = machine({CFG: cfg, ENV: block(**before), DEFAULTS: "GRUB_DEFAULT=saved\n", **TWO})
    done = after(guest, plan_of(guest))
    assert (done.text(CFG), done.text(DEFAULTS)) == (cfg, "GRUB_DEFAULT=saved\n")
    data = done.read(ENV) or b""
    assert grubenv.values(data) == {"saved_entry": saved}
    assert len(data) == 1024


def test_a_missing_environment_block_is_made() -> None:
    guest = machine({CFG: menu("6.9", head=SAVED_HEAD), **kernels(v6_9=BOTH)})
    assert grubenv.values(after(guest, plan_of(guest)).read(ENV) or b"") == {
        "saved_entry": "gnulinux-simple-U"
    }


def test_an_entry_for_one_boot_is_forgotten() -> None:
    env = block(saved_entry=OLD, next_entry="0")
    guest = machine({CFG: menu("6.9", "6.1", head=SAVED_HEAD), ENV: env, **TWO})
    done = after(guest, plan_of(guest))
    assert grubenv.values(done.read(ENV) or b"") == {"saved_entry": OLD, "next_entry": ""}
    found = inspect_bootloader(done)
    assert found is not None
    assert found.default is not None
    assert found.default.kernel == "/boot/vmlinuz-6.1"


def test_before_grub_2_00_the_entry_for_one_boot_is_the_saved_one() -> None:
    """grub-reboot of Debian 7 and Ubuntu 12.04: 00_header puts prev_saved_entry back after that boot."""
    head = 'load_env\nset default="${saved_entry}"\nif [ "${prev_saved_entry}" ]; then\n'
    head += '  set saved_entry="${prev_saved_entry}"\n  save_env saved_entry\nfi\nset timeout=5\n'
    env = block(saved_entry="0", prev_saved_entry=OLD)
    guest = machine({CFG: menu("6.9", "6.1", head=head), ENV: env, **TWO})
    done = after(guest, plan_of(guest))
    assert grubenv.values(done.read(ENV) or b"") == {"saved_entry": OLD, "prev_saved_entry": ""}


def test_a_fallback_boots_where_the_default_is_gone() -> None:
    more = (
        "menuentry B { linux /boot/vmlinuz-6.1 root=x; }\nmenuentry C { linux /boot/vmlinuz-6.9 root=x; }\n"
    )
    cfg = (
        "set default=A\nset fallback='9 C'\nset timeout=5\nmenuentry A { linux /boot/gone root=x; }\n" + more
    )
    assert text_after(machine({CFG: cfg, **TWO}), CFG) == cfg.replace("default=A", "default=C")
    without = cfg.replace("set fallback='9 C'\n", "")  # the newest that is there
    assert text_after(machine({CFG: without, **TWO}), CFG) == without.replace("default=A", "default=C")


def test_a_broken_environment_block_is_left_with_a_warning() -> None:
    guest = machine({CFG: menu("6.9", head=SAVED_HEAD), ENV: b"#" * 1024, **kernels(v6_9=BOTH)})
    plan = plan_of(guest)
    assert plan.changes == ()
    assert "signature" in plan.notes[0].text


def test_a_script_without_a_default_gets_one_before_its_first_command() -> None:
    cfg = "# by hand\n\n" + menu("6.9", head="set timeout=5\n")
    guest = machine({CFG: cfg, **kernels(v6_9=BOTH)})
    assert text_after(guest, CFG) == cfg.replace("set timeout", f'set default="{NEW}"\nset timeout')


def test_a_default_that_the_script_computes_is_left_with_a_warning() -> None:
    cfg = menu("6.9", "6.1", head="set timeout=5\nfor i in 1 2; do set default=$i; done\n")
    guest = machine({CFG: cfg, **TWO})
    plan = plan_of(guest)
    changed = after(guest, plan)
    found = inspect_bootloader(changed)
    assert found is not None
    assert found.default is not None
    assert found.default.kernel == "/boot/vmlinuz-6.9"


def test_loader_entries_are_pinned_by_id() -> None:
    cfg = SAVED_HEAD + "blscfg\n"
    files: Files = {"/boot/grub2/grub.cfg": cfg, "/boot/grub2/grubenv": block(saved_entry="1"), **TWO}
    for release in ("6.9", "6.1"):
        entry = f"title L {release}\nlinux /boot/vmlinuz-{release}\noptions root=UUID=c0c0-root\n"
        files[f"/boot/loader/entries/9af-{release}.conf"] = entry.encode()
    guest = machine(files, os_id="rhel")
    done = after(guest, plan_of(guest))
    assert grubenv.values(done.read("/boot/grub2/grubenv") or b"") == {"saved_entry": "9af-6.1"}


def test_stubs_on_the_esp_are_left_alone() -> None:
    stub = "search.fs_uuid c0c0-root root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"
    path = "/boot/efi/EFI/debian/grub.cfg"
    files: Files = {
        path: stub,
        CFG: menu("6.9"),
        **kernels(v6_9=BOTH),
        "/boot/efi/EFI/BOOT/BOOTX64.EFI": b"MZ",
    }
    guest = machine(files, mounts={"/": ROOT, "/boot/efi": ESP})
    assert [change.path for change in plan_of(guest).changes] == [CFG]


# --- the timeout -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"), [("0", "5"), ("1", "1"), ("5", "5"), ("10", "10"), ("11", "5"), ("-1", "5"), ("600", "5")]
)
def test_a_timeout_of_one_to_ten_seconds_stays(old: str, new: str) -> None:
    cfg = menu("6.9", head=f"set default={NEW.split('>')[0]}\nset timeout={old}\n")
    files = {CFG: cfg, DEFAULTS: f"GRUB_TIMEOUT='{old}' # s\n", **kernels(v6_9=BOTH)}
    done = after(machine(files), plan_of(machine(files)))
    assert f"set timeout={new}\n" in (done.text(CFG) or "")
    assert done.text(DEFAULTS) == f"GRUB_TIMEOUT='{new}' # s\n"


def test_no_timeout_would_wait_for_ever() -> None:
    guest = machine({CFG: menu("6.9", head=f"set default='{NEW}'\n"), **kernels(v6_9=BOTH)})
    assert text_after(guest, CFG).startswith("set timeout=5\nset default=")


UBUNTU = """if [ "${recordfail}" = 1 ] ; then
  set timeout=RECORDFAIL
else
  if [ x$feature_timeout_style = xy ] ; then
    set timeout_style=hidden
    set timeout=0
  elif sleep --interruptible 0 ; then
    set timeout=0
  fi
fi
if [ "x${timeout}" != "x-1" ]; then
  if keystatus; then
    if keystatus --shift; then
      set timeout=-1
    else
      set timeout=0
    fi
  fi
fi
"""


def test_hidden_menus_stay_hidden_and_none_waits_for_ever() -> None:
    cfg = menu("6.9", head=f"set default='{NEW}'\n" + UBUNTU.replace("RECORDFAIL", "-1"))
    guest = machine({CFG: cfg, **kernels(v6_9=BOTH)})
    changed = grub_corpus.changed_lines(cfg, text_after(guest, CFG))
    assert changed == [("  set timeout=-1", "  set timeout=5"), ("    set timeout=0", "    set timeout=5")]


def test_an_unclean_last_boot_does_not_hide_the_timeout() -> None:
    cfg = menu("6.9", head=f"load_env\nset default='{NEW}'\n" + UBUNTU.replace("RECORDFAIL", "30"))
    guest = machine({CFG: cfg, ENV: block(recordfail="1"), **kernels(v6_9=BOTH)})
    assert grub_corpus.changed_lines(cfg, text_after(guest, CFG)) == [
        ("    set timeout=0", "    set timeout=5")
    ]


# --- /etc/default/grub -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after_"),
    [
        ("GRUB_DEFAULT=0\n", "GRUB_DEFAULT=0\n"),
        ("X=1\n", "X=1\n"),
        ("GRUB_DEFAULT=1\n", f'GRUB_DEFAULT="{NEW}"\n'),
        ("GRUB_DEFAULT='1>2'\n", f"GRUB_DEFAULT='{NEW}'\n"),
        (f'GRUB_DEFAULT="{NEW}"\n', f'GRUB_DEFAULT="{NEW}"\n'),
        ("GRUB_DEFAULT=`cat x`\n", "GRUB_DEFAULT=`cat x`\n"),
    ],
)
def test_the_next_menu_gets_the_same_default(before: str, after_: str) -> None:
    guest = machine({CFG: menu("6.9", "6.1"), DEFAULTS: before, **TWO})
    assert text_after(guest, DEFAULTS) == after_


def test_the_newest_kernel_as_default_is_a_decision_told() -> None:
    guest = machine({CFG: menu("6.9"), DEFAULTS: "GRUB_DEFAULT=0\n", **kernels(v6_9=BOTH)})
    assert any(note.kind is NoteKind.DECISION and "stays 0" in note.text for note in plan_of(guest).notes)


def test_the_last_file_to_set_a_variable_is_edited() -> None:
    drop_in = "/etc/default/grub.d/50-cloud.cfg"
    files = {
        CFG: menu("6.9"),
        DEFAULTS: "GRUB_TIMEOUT=5\n",
        drop_in: "GRUB_TIMEOUT=0\n",
        **kernels(v6_9=BOTH),
    }
    guest = machine(files)
    assert text_after(guest, drop_in) == "GRUB_TIMEOUT=5\n"
    assert text_after(guest, DEFAULTS) == "GRUB_TIMEOUT=5\n"


def test_a_broken_file_is_left_with_a_warning() -> None:
    guest = machine({CFG: menu("6.9"), DEFAULTS: 'GRUB_TIMEOUT=0\nX="a\n', **kernels(v6_9=BOTH)})
    assert text_after(guest, DEFAULTS) == 'GRUB_TIMEOUT=5\nX="a\n'


# --- GRUB legacy -------------------------------------------------------------------------------------

LEGACY = "default=0\ntimeout=0\n"
LEGACY += "title A\n\tkernel /boot/vmlinuz-6.9 root=LABEL=/\ntitle B\n\tkernel /boot/vmlinuz-6.1\n"


def test_grub_legacy() -> None:
    path = "/boot/grub/menu.lst"
    guest = machine({path: LEGACY, **TWO})
    assert grub_corpus.changed_lines(LEGACY, text_after(guest, path)) == [("timeout=0", "timeout=5")]
    worse = machine({path: LEGACY, **kernels(v6_9=XEN_ONLY, v6_1=BOTH)})
    assert text_after(worse, path).startswith("default=1\ntimeout=5\n")


# --- real files --------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("grub-script-check") is None, reason="needs grub-script-check")
def test_real_scripts_are_still_scripts(tmp_path: Path) -> None:
    def accepted(text: str) -> bool:
        path = tmp_path / "grub.cfg"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return subprocess.run(["grub-script-check", path], capture_output=True, check=False).returncode == 0

    for name, data in grub_corpus.files("grub2-cfg").items():
        text = grub_corpus.text(data)
        guest = machine({CFG: data, ENV: block()})
        if inspect_bootloader(guest) is not None and accepted(text):
            assert accepted(text_after(guest, CFG)), name


@pytest.mark.parametrize("category", ["default-grub", "grub-legacy", "grub2-cfg", "grubenv", "bls"])
def test_every_real_file_is_planned_and_once_is_enough(category: str) -> None:
    paths = {"default-grub": DEFAULTS, "grub-legacy": "/boot/grub/menu.lst", "grub2-cfg": CFG, "grubenv": ENV}
    for name, data in grub_corpus.files(category).items():
        for mutation in grub_corpus.mutations(data, name)[:2]:
            files: Files = {
                CFG: menu("6.9", head=SAVED_HEAD) + "blscfg\n",
                DEFAULTS: "X=1\n",
                **kernels(v6_9=BOTH),
            }
            if category == "grub-legacy":
                del files[CFG]
            files[paths.get(category, "/boot/loader/entries/a-6.9.conf")] = mutation
            guest = machine(files)
            if inspect_bootloader(guest) is not None:
                plan_of(guest)
