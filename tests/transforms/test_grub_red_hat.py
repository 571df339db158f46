"""GRUB 2 as Red Hat's releases lay it out: menus, loader entries, environment blocks."""

from __future__ import annotations

import pytest

from imgpatch.formats import grubenv
from imgpatch.guest import Guest
from imgpatch.plan import NoteKind
from imgpatch.storage import Device
from tests.transforms.grub_machines import (
    BOOT,
    ESP,
    ROOT,
    XEN_ONLY,
    after,
    block,
    bootloader,
    default_kernel,
    environment,
    kernel,
    machine,
    plan_of,
)

Files = dict[str, str | bytes]
BIOS = {"/": ROOT, "/boot": BOOT}
UEFI = {**BIOS, "/boot/efi": ESP}
ON_BOOT, ON_ESP = "/boot/grub2", "/boot/efi/EFI/redhat"
FALLBACK: Files = {"/boot/efi/EFI/BOOT/BOOTX64.EFI": "MZ"}
UDEV: Files = {"/usr/lib/udev/rules.d/80-net-setup-link.rules": "x"}
ARGUMENTS = "net.ifnames=0 biosdevname=0"
ID = "9e3c1f0d4b5a"


def red_hat(files: Files, mounts: dict[str, Device], links: dict[str, str] | None = None) -> Guest:
    return machine({**files, **FALLBACK}, mounts=mounts, links=links, os_id="rhel")


# --- Red Hat 7, Amazon Linux 2, Fedora 18 to 20: entries in grub.cfg, the default by title -----------

EL7_HEAD = """set pager=1
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="${saved_entry}"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
fi
terminal_output console
if [ x$feature_timeout_style = xy ] ; then
  set timeout_style=menu
  set timeout=5
else
  set timeout=5
fi
"""
RELEASES = ("3.10.0-1160.el7.x86_64", "3.10.0-957.el7.x86_64")
RESCUE = "0-rescue-9e3c1f0d4b5a"
TITLES = tuple(f"Red Hat Enterprise Linux Server ({release}) 7.9 (Maipo)" for release in RELEASES)


def el7(load: str = "linux16", initrd: str = "initrd16", root: str = "UUID=c0c0-root") -> str:
    text = EL7_HEAD
    for title, release in zip((*TITLES, "Rescue"), (*RELEASES, RESCUE), strict=True):
        text += (
            f"menuentry '{title}' --class rhel --class os --unrestricted $menuentry_id_option"
            f" 'gnulinux-{release}-advanced-c0c0-root' {{\n\tload_video\n\tset root='hd0,gpt4'\n"
            f"\tsearch --no-floppy --fs-uuid --set=root b0b0-boot\n"
            f"\t{load} /vmlinuz-{release} root={root} ro resume=/dev/sda3 rhgb quiet $tuned_params\n"
            f"\t{initrd} /initramfs-{release}.img $tuned_initrd\n}}\n"
        )
    return text


EL7 = {**kernel(RELEASES[0]), **kernel(RELEASES[1]), f"/boot/vmlinuz-{RESCUE}": "x"}


@pytest.mark.parametrize(
    ("saved", "boots", "then"),
    [
        (TITLES[0], RELEASES[0], TITLES[0]),
        (TITLES[1], RELEASES[1], TITLES[1]),
        ("1", RELEASES[1], f"gnulinux-{RELEASES[1]}-advanced-c0c0-root"),
        ("", RELEASES[0], f"gnulinux-{RELEASES[0]}-advanced-c0c0-root"),
        ("Rescue", RELEASES[0], f"gnulinux-{RELEASES[0]}-advanced-c0c0-root"),
    ],
)
@pytest.mark.parametrize("uefi", [False, True])
def test_red_hat_7(uefi: bool, saved: str, boots: str, then: str) -> None:
    words = ("linuxefi", "initrdefi") if uefi else ("linux16", "initrd16")
    folder, mounts = (ON_ESP, UEFI) if uefi else (ON_BOOT, BIOS)
    links = {"/boot/grub2/grubenv": "../efi/EFI/redhat/grubenv"} if uefi else {}
    text = el7(*words)
    guest = red_hat(
        {f"{folder}/grub.cfg": text, f"{folder}/grubenv": block(saved_entry=saved), **EL7, **UDEV},
        mounts,
        links,
    )
    plan = plan_of(guest)
    done = after(guest, plan)
    wanted = text.replace("/dev/sda3", "UUID=5a5a-swap").replace(
        "$tuned_params", f"$tuned_params {ARGUMENTS}"
    )
    assert done.text(f"{folder}/grub.cfg") == wanted
    assert environment(done, folder)["saved_entry"] == then
    assert default_kernel(done) == f"/boot/vmlinuz-{boots}"
    assert {change.path for change in plan.changes} <= {f"{folder}/grub.cfg", f"{folder}/grubenv"}


def test_a_bios_reads_no_environment_block_through_a_link_into_the_esp() -> None:
    """Images that start both ways have that link; by the BIOS the first entry boots, whatever is saved."""
    links = {"/boot/grub2/grubenv": "../efi/EFI/redhat/grubenv"}
    bios_boot = Device(disk=0, partition=9, parttype="21686148-6449-6e6f-744e-656564454649")
    files: Files = {f"{ON_BOOT}/grub.cfg": el7(), f"{ON_ESP}/grubenv": block(saved_entry=TITLES[1]), **EL7}
    both = red_hat(files, {**UEFI, "/none": bios_boot}, links)
    assert default_kernel(both) == f"/boot/vmlinuz-{RELEASES[0]}"
    assert environment(after(both, plan_of(both)), ON_ESP) == {"saved_entry": TITLES[1]}


# --- Red Hat 8 on, Fedora 30 on, Amazon Linux 2023: loader entries -----------------------------------

EL8_HEAD = """if [ -f ${config_directory}/grubenv ]; then
  load_env -f ${config_directory}/grubenv
elif [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="${saved_entry}"
fi
set timeout_style=menu
set timeout=5
if [ -f ${prefix}/user.cfg ]; then
  source ${prefix}/user.cfg
fi
if [ -n "${boot_counter}" -a "${boot_success}" = "0" ]; then
  if [ "${boot_counter}" = "0" -o "${boot_counter}" = "-1" ]; then
    set default=1
    set boot_counter=-1
  else
    decrement boot_counter
  fi
  save_env boot_counter
fi
set boot='hd0,gpt4'
search --no-floppy --fs-uuid --set=boot b0b0-boot
if [ -z "${kernelopts}" ]; then
  set kernelopts="root=/dev/sda2 ro crashkernel=auto "
fi
insmod blscfg
blscfg
if [ "${boot_success}" = "1" -o "${boot_indeterminate}" = "1" ]; then
  set menu_hide_ok=1
else
  set menu_hide_ok=0
fi
set boot_success=0
save_env boot_success boot_indeterminate
if [ x$feature_timeout_style = xy ] ; then
  if [ "${menu_show_once}" ]; then
    unset menu_show_once
    save_env menu_show_once
    set timeout_style=menu
    set timeout=60
  elif [ "${menu_auto_hide}" -a "${menu_hide_ok}" = "1" ]; then
    set timeout_style=hidden
    set timeout=1
  fi
fi
"""
STUB = "search --no-floppy --fs-uuid --set=dev b0b0-boot\nset prefix=($dev)/grub2\n"
STUB += "export $prefix\nconfigfile $prefix/grub.cfg\n"


def loader_entry(release: str, options: str = "$kernelopts $tuned_params") -> Files:
    text = f"""title Red Hat Enterprise Linux ({release}) 8.9 (Ootpa)
version {release}
linux /vmlinuz-{release}
initrd /initramfs-{release}.img $tuned_initrd
options {options}
id rhel-20231201-{release}
grub_users $grub_users
grub_arg --unrestricted
grub_class rhel
"""
    return {f"/boot/loader/entries/{ID}-{release}.conf": text}


NEW, OLD = "4.18.0-513.5.1.el8_9.x86_64", "4.18.0-80.el8.x86_64"
ENTRIES = {
    **loader_entry(NEW),
    **loader_entry(OLD),
    **loader_entry("0-rescue"),
    "/boot/vmlinuz-0-rescue": "x",
}
EL8 = {**ENTRIES, **kernel(NEW), **kernel(OLD), **UDEV}


@pytest.mark.parametrize(
    ("saved", "then"),
    [
        (f"{ID}-{NEW}", f"{ID}-{NEW}"),
        (f"{ID}-{OLD}", f"{ID}-{OLD}"),
        (f"Red Hat Enterprise Linux ({OLD}) 8.9 (Ootpa)", f"Red Hat Enterprise Linux ({OLD}) 8.9 (Ootpa)"),
        ("1", f"{ID}-{OLD}"),
        ("0", f"{ID}-{NEW}"),
        ("", f"{ID}-{NEW}"),
        (f"{ID}-gone", f"{ID}-{NEW}"),
        (f"{ID}-0-rescue", f"{ID}-{NEW}"),
        ("2", f"{ID}-{NEW}"),
    ],
)
@pytest.mark.parametrize("uefi", [False, True])
def test_red_hat_8(uefi: bool, saved: str, then: str) -> None:
    folder, mounts = (ON_ESP, UEFI) if uefi else (ON_BOOT, BIOS)
    links = {"/boot/grub2/grubenv": "../efi/EFI/redhat/grubenv"} if uefi else {}
    settings = {"kernelopts": "root=/dev/sda2 ro resume=/dev/sda3 quiet", "boot_success": "0"}
    env = grubenv.created({"saved_entry": saved, **settings})
    guest = red_hat({f"{folder}/grub.cfg": EL8_HEAD, f"{folder}/grubenv": env, **EL8}, mounts, links)
    done = after(guest, plan_of(guest))
    wanted = {
        "saved_entry": then,
        "kernelopts": f"root=UUID=c0c0-root ro resume=UUID=5a5a-swap quiet {ARGUMENTS}",
    }
    assert environment(done, folder) == {**wanted, "boot_success": "0"}
    text = EL8_HEAD.replace(
        "root=/dev/sda2 ro crashkernel=auto", f"root=UUID=c0c0-root ro crashkernel=auto {ARGUMENTS}"
    )
    assert done.text(f"{folder}/grub.cfg") == text
    assert all(done.text(path) == contents for path, contents in ENTRIES.items())
    assert bootloader(done).default == next(e for e in bootloader(done).entries if then in (e.id, e.title))


@pytest.mark.parametrize(("hide", "timeout"), [({}, 5), ({"menu_auto_hide": "1", "boot_success": "1"}, 1)])
def test_a_menu_that_hides_itself_keeps_its_one_second(hide: dict[str, str], timeout: int) -> None:
    env = block(saved_entry=f"{ID}-{NEW}", kernelopts="root=UUID=c0c0-root", **hide)
    guest = red_hat({f"{ON_BOOT}/grub.cfg": EL8_HEAD, f"{ON_BOOT}/grubenv": env, **EL8}, BIOS)
    assert bootloader(guest).timeout == timeout
    text = after(guest, plan_of(guest)).text(f"{ON_BOOT}/grub.cfg") or ""
    assert [line.split("=")[1] for line in text.split("\n") if "set timeout=" in line] == ["5", "60", "1"]


EL9_OPTIONS = "root=/dev/sda2 ro resume=/dev/sda3 rhgb quiet $tuned_params"


@pytest.mark.parametrize("uefi", [False, True])
def test_red_hat_9(uefi: bool) -> None:
    """The ESP holds a stub, each entry its own options, /etc/kernel/cmdline those of the next one."""
    path, entry = "/etc/kernel/cmdline", loader_entry(NEW, EL9_OPTIONS)
    files: Files = {
        f"{ON_BOOT}/grub.cfg": EL8_HEAD,
        f"{ON_BOOT}/grubenv": block(saved_entry="0"),
        **kernel(NEW),
    }
    files |= {**entry, **UDEV, path: "# by hand\nroot=/dev/sda2 ro\nrhgb quiet\n# root=/dev/sda2\n"}
    if uefi:
        files[f"{ON_ESP}/grub.cfg"] = STUB
    guest = red_hat(files, UEFI if uefi else BIOS)
    assert bootloader(guest).configs == (f"{ON_BOOT}/grub.cfg",)
    done = after(guest, plan_of(guest))
    ((name, text),) = entry.items()
    options = "root=UUID=c0c0-root ro resume=UUID=5a5a-swap rhgb quiet $tuned_params"
    assert done.text(name) == str(text).replace(EL9_OPTIONS, f"{options} {ARGUMENTS}")
    wanted = f"# by hand\nroot=UUID=c0c0-root ro\nrhgb quiet {ARGUMENTS}\n# root=/dev/sda2\n"
    assert done.text(path) == wanted
    assert environment(done, ON_BOOT) == {"saved_entry": f"{ID}-{NEW}"}
    assert done.text(f"{ON_ESP}/grub.cfg") == (STUB if uefi else None)


def test_the_newest_loader_entry_as_default_is_not_pinned_for_ever() -> None:
    head = EL8_HEAD.replace('default="${saved_entry}"', "default=0")
    env = block(kernelopts=f"root=UUID=c0c0-root {ARGUMENTS}")
    guest = red_hat({f"{ON_BOOT}/grub.cfg": head, f"{ON_BOOT}/grubenv": env, **EL8}, BIOS)
    plan = plan_of(guest)
    assert "set default=0\n" in (after(guest, plan).text(f"{ON_BOOT}/grub.cfg") or "")
    assert any("later kernel" in note.text for note in plan.notes if note.kind is NoteKind.DECISION)
    worse = red_hat(
        {f"{ON_BOOT}/grub.cfg": head, f"{ON_BOOT}/grubenv": env, **EL8, **kernel(NEW, XEN_ONLY)}, BIOS
    )
    assert f"set default={ID}-{OLD}\n" in (after(worse, plan_of(worse)).text(f"{ON_BOOT}/grub.cfg") or "")


@pytest.mark.parametrize(("users", "locked"), [("", False), ("$grub_users", False), ("root", True)])
def test_a_loader_entry_may_be_behind_a_password(users: str, locked: bool) -> None:
    entry = {path: str(text).replace("$grub_users", users) for path, text in loader_entry(NEW).items()}
    head = EL8_HEAD + 'set superusers="root"\nexport superusers\n'
    files: Files = {f"{ON_BOOT}/grub.cfg": head, **entry, **kernel(NEW)}
    assert [e.locked for e in bootloader(red_hat(files, BIOS)).entries] == [locked]


def test_loader_entries_that_no_menu_shows_are_kept_ready() -> None:
    """GRUB_ENABLE_BLSCFG=false: grub.cfg has entries of its own; the next one may have these."""
    cfg = f"set default=0\nset timeout=5\nmenuentry A {{\n linux /vmlinuz-{NEW} root=UUID=c0c0-root\n}}\n"
    files: Files = {f"{ON_BOOT}/grub.cfg": cfg, **loader_entry(NEW, EL9_OPTIONS), **kernel(NEW)}
    guest = red_hat(files, BIOS)
    done = after(guest, plan_of(guest))
    assert "root=UUID=c0c0-root" in (done.text(f"/boot/loader/entries/{ID}-{NEW}.conf") or "")
