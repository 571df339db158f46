"""GRUB legacy's menus: default entry, timeout, kernel lines, as Red Hat, SUSE and Debian have them."""

from __future__ import annotations

import pytest

from imgpatch.plan import NoteKind
from tests import grub_corpus
from tests.transforms.grub_machines import BOTH, XEN_ONLY, after, kernels, machine, plan_of, text_after

Files = dict[str, str | bytes]
MENU_LST, GRUB_CONF = "/boot/grub/menu.lst", "/boot/grub/grub.conf"
SAVED, SYSCONFIG = "/boot/grub/default", "/etc/sysconfig/bootloader"
TWO = kernels(v6_9=BOTH, v6_1=BOTH)
WORSE = kernels(v6_9=XEN_ONLY, v6_1=BOTH)
ENTRIES = (
    "title A\n\troot (hd0,0)\n\tkernel /boot/vmlinuz-6.9 ro root=LABEL=/\n\tinitrd /boot/i\n"
    "title B\n\troot (hd0,0)\n\tkernel /boot/vmlinuz-6.1 ro root=LABEL=/\n\tinitrd /boot/i\n"
)


@pytest.mark.parametrize(
    ("head", "kernels_", "wanted"),
    [
        ("default=0\ntimeout=5\n", TWO, "default=0\ntimeout=5\n"),
        ("timeout=5\n", TWO, "timeout=5\n"),
        ("default=1\ntimeout=0\nhiddenmenu\n", TWO, "default=1\ntimeout=5\nhiddenmenu\n"),
        ("default=0\ntimeout=5\n", WORSE, "default=1\ntimeout=5\n"),
        ("default\t0 \ntimeout\t8\n", WORSE, "default\t1 \ntimeout\t8\n"),
        ("timeout=5\n", WORSE, "timeout=5\ndefault 1\n"),
        ("timeout=5\ndefault=7\n", TWO, "timeout=5\ndefault=0\n"),
        ("timeout=5\ndefault=7\nfallback=1\n", TWO, "timeout=5\ndefault=1\nfallback=1\n"),
        ("default=0\n", TWO, "default=0\ntimeout 5\n"),
        ("timeout 0x0\ndefault saved\n", TWO, "timeout 0x0\ndefault saved\n"),
        ("default=0\r\ntimeout=30\r\n", TWO, "default=0\r\ntimeout=5\r\n"),
    ],
)
def test_default_and_timeout(head: str, kernels_: Files, wanted: str) -> None:
    guest = machine({GRUB_CONF: head + ENTRIES, **kernels_})
    assert text_after(guest, GRUB_CONF) == wanted + ENTRIES


def test_a_saved_default_is_changed_in_its_file() -> None:
    number = (
        "0\n" + "#\n" * 10 + "# WARNING: If you want to edit this file directly, do not remove any line\n"
    )
    menu = "default saved\ntimeout 5\n" + ENTRIES.replace("/boot/i\n", "/boot/i\n\tsavedefault\n")
    done = after(guest := machine({MENU_LST: menu, SAVED: number, **WORSE}), plan_of(guest))
    assert (done.text(MENU_LST), done.text(SAVED)) == (menu, number.replace("0", "1", 1))
    without = machine({MENU_LST: menu, **WORSE})
    assert text_after(without, MENU_LST) == menu.replace("default saved", "default 1")
    kept = machine({MENU_LST: menu, SAVED: number, **TWO})
    assert plan_of(kept).changes == ()


def test_both_menus_are_kept_alike_and_it_is_said() -> None:
    other = ENTRIES.replace("title", "\ntitle")
    files: Files = {GRUB_CONF: "timeout=0\n" + ENTRIES, MENU_LST: "timeout=0\n" + other, **WORSE}
    plan = plan_of(guest := machine(files))
    done = after(guest, plan)
    assert done.text(GRUB_CONF) == "timeout=5\ndefault 1\n" + ENTRIES
    assert (done.text(MENU_LST) or "").startswith("timeout=5\n\ndefault 1\ntitle A")
    assert [note.rule for note in plan.notes] == ["R-30"]


RED_HAT_5 = """#boot=/dev/sda
default=0
timeout=5
splashimage=(hd0,0)/grub/splash.xpm.gz
hiddenmenu
title Red Hat Enterprise Linux Server (2.6.18-398.el5xen)
\troot (hd0,0)
\tkernel /xen.gz-2.6.18-398.el5 dom0_mem=1024M
\tmodule /vmlinuz-2.6.18-398.el5xen ro root=/dev/sda2 rhgb quiet
\tmodule /initrd-2.6.18-398.el5xen.img
title Red Hat Enterprise Linux Server (2.6.18-398.el5)
\troot (hd0,0)
\tkernel /vmlinuz-2.6.18-398.el5 ro root=/dev/sda2 rhgb quiet
\tinitrd /initrd-2.6.18-398.el5.img
title Red Hat Enterprise Linux Server (2.6.18-398.el5debug)
\troot (hd0,0)
\tkernel /vmlinuz-2.6.18-398.el5debug ro root=/dev/sda2 rhgb quiet
\tinitrd /initrd-2.6.18-398.el5debug.img
"""


@pytest.mark.parametrize(
    ("package", "wanted"),
    [("kernel-xen", "kernel"), ("kernel", "kernel"), ("kernel-uek", "kernel-uek"), ("", "")],
)
def test_red_hat_5_leaves_its_hypervisor(package: str, wanted: str) -> None:
    names = ("2.6.18-398.el5xen", "2.6.18-398.el5", "2.6.18-398.el5debug")
    files: Files = {f"/boot/vmlinuz-{name}": "x" for name in names}
    files |= {f"/lib/modules/{name}/modules.dep": "" for name in names}
    sysconfig = f"# the type of kernel\nUPDATEDEFAULT=yes\nDEFAULTKERNEL={package}\n"
    files |= {"/boot/xen.gz-2.6.18-398.el5": "x", "/etc/sysconfig/kernel": sysconfig}
    guest = machine({GRUB_CONF: RED_HAT_5, **files}, os_id="rhel")
    menu = RED_HAT_5.replace("default=0", "default=1").replace("root=/dev/sda2", "root=UUID=c0c0-root")
    done = after(guest, plan_of(guest))
    assert done.text(GRUB_CONF) == menu
    assert done.text("/etc/sysconfig/kernel") == sysconfig.replace(f"={package}\n", f"={wanted}\n")


SLES_11 = """# Modified by YaST2. Last modification on Mon Mar  3 10:00:00 UTC 2014
default 2
timeout 8
gfxmenu (hd0,1)/boot/message
##YaST - activate

###Don't change this comment - YaST2 identifier: Original name: linux###
title SUSE Linux Enterprise Server 11 SP4 - 3.0.101-63
    root (hd0,1)
    kernel /boot/vmlinuz-3.0.101-63-default root=/dev/sda2 resume=/dev/sda3 splash=silent showopts
    initrd /boot/initrd-3.0.101-63-default

###Don't change this comment - YaST2 identifier: Original name: failsafe###
title Failsafe -- SUSE Linux Enterprise Server 11 SP4 - 3.0.101-63
    root (hd0,1)
    kernel /boot/vmlinuz-3.0.101-63-default root=/dev/disk/by-id/ata-QEMU_1-part2 showopts noresume
    initrd /boot/initrd-3.0.101-63-default

###Don't change this comment - YaST2 identifier: Original name: xen###
title Xen -- SUSE Linux Enterprise Server 11 SP4 - 3.0.101-63
    root (hd0,1)
    kernel /boot/xen.gz
    module /boot/vmlinuz-3.0.101-63-xen root=/dev/sda2 resume=/dev/sda3
    module /boot/initrd-3.0.101-63-xen
"""
SUSE_LISTS = """LOADER_TYPE="grub"
DEFAULT_APPEND="resume=/dev/sda3 splash=silent showopts"
FAILSAFE_APPEND="showopts resume=/dev/sdq9"
XEN_KERNEL_APPEND='resume=/dev/sda3'
"""


def test_suse_11() -> None:
    names = ("3.0.101-63-default", "3.0.101-63-xen")
    files: Files = {f"/boot/vmlinuz-{name}": "x" for name in names}
    files |= {f"/lib/modules/{name}/modules.dep": "" for name in names}
    device_map = "(hd0)\t/dev/disk/by-id/ata-QEMU_1\n"
    files |= {"/boot/xen.gz": "x", "/boot/grub/device.map": device_map, SYSCONFIG: SUSE_LISTS}
    guest = machine({MENU_LST: SLES_11, **files}, os_id="sles")
    plan = plan_of(guest)
    done = after(guest, plan)
    wanted = SLES_11.replace("default 2", "default 0").replace("resume=/dev/sda3", "resume=UUID=5a5a-swap")
    for name in ("/dev/sda2", "/dev/disk/by-id/ata-QEMU_1-part2"):
        wanted = wanted.replace(f"root={name}", "root=UUID=c0c0-root")
    assert done.text(MENU_LST) == wanted
    lists = SUSE_LISTS.replace("/dev/sda3", "UUID=5a5a-swap").replace(" resume=/dev/sdq9", "")
    assert done.text(SYSCONFIG) == lists
    assert any("device.map" in n.text for n in plan.notes if n.kind is NoteKind.DECISION)


DEBIAN = """default\t\t0
timeout\t\t5
# password ['--md5'] passwd
### BEGIN AUTOMAGIC KERNELS LIST
## lines between the AUTOMAGIC KERNELS LIST markers will be modified
## ## Start Default Options ##
## e.g. kopt=root=/dev/hda1 ro
##      kopt_2_6_8=root=/dev/hdc1 ro
# kopt=root=/dev/sda2 ro
# kopt_2_6=root=/dev/sda2 ro
# groot=(hd0,0)
# alternative=true
# defoptions=quiet resume=/dev/sda3
# xenkopt=console=tty0
# altoptions=(single-user mode) single
# howmany=all
## ## End Default Options ##

title\t\tDebian GNU/Linux, kernel 6.9
root\t\t(hd0,0)
kernel\t\t/boot/vmlinuz-6.9 root=/dev/sda2 ro quiet resume=/dev/sda3
initrd\t\t/boot/initrd.img-6.9

title\t\tDebian GNU/Linux, kernel 6.9 (single-user mode)
root\t\t(hd0,0)
kernel\t\t/boot/vmlinuz-6.9 root=/dev/sda2 ro single
initrd\t\t/boot/initrd.img-6.9
### END DEBIAN AUTOMAGIC KERNELS LIST

title\t\tOther operating systems:
root

title\t\tMicrosoft Windows
root\t\t(hd0,4)
savedefault
chainloader\t+1
"""


def test_debian_s_update_grub_makes_the_same_lines_again() -> None:
    udev = {"/lib/udev/rules.d/80-net-setup-link.rules": "x"}
    guest = machine({MENU_LST: DEBIAN, **kernels(v6_9=BOTH), **udev})
    more = " net.ifnames=0 biosdevname=0"
    lines = []
    for line in DEBIAN.split("\n"):
        if not line.startswith("##"):
            kernel = "root=/dev/sda2" in line
            line = line.replace("root=/dev/sda2", "root=UUID=c0c0-root")
            line = line.replace("resume=/dev/sda3", "resume=UUID=5a5a-swap") + more * kernel
        lines.append(line)
    assert text_after(guest, MENU_LST) == "\n".join(lines)


def test_a_line_that_goes_on_stays_in_two() -> None:
    menu = "timeout 5\ntitle A\nkernel /boot/vmlinuz-6.9 \\\n  root=/dev/sda2 \\\n  quiet\ninitrd /boot/i\n"
    udev = {"/lib/udev/rules.d/80-net-setup-link.rules": "x"}
    text = text_after(machine({MENU_LST: menu, **kernels(v6_9=BOTH), **udev}), MENU_LST)
    wanted = menu.replace("/dev/sda2", "UUID=c0c0-root")
    assert text == wanted.replace("quiet", "quiet net.ifnames=0 biosdevname=0")


def test_an_entry_behind_a_password_is_warned_of() -> None:
    menu = "timeout 5\npassword x\n" + ENTRIES.replace("title A", "title A\n\tlock")
    (note,) = plan_of(machine({MENU_LST: menu, **TWO})).notes
    assert "asks for a password" in note.text


def test_real_menus_change_in_the_lines_they_name() -> None:
    udev = {"/lib/udev/rules.d/80-net-setup-link.rules": "x"}
    for name, data in grub_corpus.files("grub-legacy").items():
        text = grub_corpus.text(data)
        done = text_after(machine({GRUB_CONF: data, **udev}), GRUB_CONF)
        before, now = text.split("\n"), done.split("\n")
        gone = [line.strip() for line in before if line not in now]
        assert all(line.startswith(("kernel", "module", "default", "timeout")) for line in gone), name
        assert len(now) - len(before) in range(3), name
