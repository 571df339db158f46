"""Every real file of GRUB is changed in the lines named alone, or left; shells and GRUB still take it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures import rows, text_guest
from imgpatch.formats import grubenv
from tests import grub_corpus
from tests.transforms.grub_machines import BOTH, SAVED_HEAD, after, kernels, machine, menu, plan_of

CFG, ENV, DEFAULTS = "/boot/grub/grub.cfg", "/boot/grub/grubenv", "/etc/default/grub"
ENTRY = "/boot/loader/entries/a-6.9.conf"
UDEV = {"/lib/udev/rules.d/80-net-setup-link.rules": "x"}
BASE = {CFG: menu("6.9", head=SAVED_HEAD) + "blscfg\n", **kernels(v6_9=BOTH), **UDEV}


def planned(path: str, data: bytes) -> bytes:
    """The file as the plan leaves it; planning again changes nothing."""
    guest = machine({DEFAULTS: "X=1\n", **BASE, path: data})
    return after(guest, plan_of(guest)).read(path) or b""


def lines(data: bytes) -> list[str]:
    return grub_corpus.text(data).split("\n")


def test_default_grub() -> None:
    names = ("GRUB_CMDLINE_", "GRUB_TIMEOUT", "GRUB_DEFAULT", "GRUB_HIDDEN_TIMEOUT", "GRUB_DISABLE_")
    for name, data in grub_corpus.files("default-grub").items():
        before, now = lines(data), lines(planned(DEFAULTS, data))
        gone = [line for line in before if line not in now and line]
        come = [line for line in now if line not in before]
        assert all(any(word in line for word in names) for line in (*gone, *come) if line), name
        assert [line for line in now if line.startswith("#")] == [x for x in before if x.startswith("#")], (
            name
        )
        assert len(now) - len(before) in range(3), name


BASH = shutil.which("bash")


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_a_shell_reads_the_same_from_default_grub_but_for_what_changed(tmp_path: Path) -> None:
    def known(data: bytes) -> dict[str, str] | None:
        """What a shell holds after the file, run with nothing it could call; None: it does not take it."""
        path = tmp_path / "grub"
        path.write_bytes(data)
        shown = "set -o posix; . ./grub >/dev/null 2>&1; set"
        checked = subprocess.run([str(BASH), "-n", path], capture_output=True, check=False)
        run = subprocess.run(
            [str(BASH), "--norc", "-c", shown],
            cwd=tmp_path,
            env={"PATH": ""},
            capture_output=True,
            check=False,
        )
        pairs = (line.partition("=") for line in run.stdout.decode("utf-8", "replace").split("\n"))
        found = {key: value for key, _, value in pairs if key.startswith("GRUB_")}
        return found if checked.returncode == 0 else None

    changing = (
        "GRUB_CMDLINE",
        "GRUB_TIMEOUT",
        "GRUB_DEFAULT",
        "GRUB_HIDDEN",
        "GRUB_RECORDFAIL",
        "GRUB_DISABLE",
    )
    for name, data in grub_corpus.files("default-grub").items():
        if b"`" in data or b"$(" in data:
            continue  # it would run something
        before, now = known(data), known(planned(DEFAULTS, data))
        assert (before is None) == (now is None), name
        if before is not None and now is not None:
            same = {key: value for key, value in before.items() if not key.startswith(changing)}
            assert same == {key: value for key, value in now.items() if not key.startswith(changing)}, name
            assert "net.ifnames=0 biosdevname=0" in now["GRUB_CMDLINE_LINUX"], name


def test_loader_entries() -> None:
    for name, data in grub_corpus.files("bls").items():
        before, now = lines(data), lines(planned(ENTRY, data))
        changed = [(a, b) for a, b in zip(before, now, strict=True) if a != b]
        assert len(changed) <= 1, name
        assert all(old.lstrip().startswith("options") for old, _ in changed), name


def test_environment_blocks() -> None:
    for name, data in grub_corpus.files("grubenv").items():
        now = planned(ENV, data)
        if grubenv.is_block(data) and len(data) >= grubenv.SIZE:
            assert len(now) == len(data), name
        old, new = grubenv.values(data), grubenv.values(now)
        free = {"saved_entry", "next_entry", "prev_saved_entry", "kernelopts"}
        assert {k: v for k, v in old.items() if k not in free} == {
            k: v for k, v in new.items() if k not in free
        }
        if not grubenv.is_block(data):
            assert now == data, name


@pytest.mark.skipif(shutil.which("grub-editenv") is None, reason="needs grub-editenv")
def test_grub_editenv_reads_the_same_block(tmp_path: Path) -> None:
    for name, data in grub_corpus.files("grubenv").items():
        path = tmp_path / "grubenv"
        path.write_bytes(now := planned(ENV, data))
        listed = subprocess.run(["grub-editenv", path, "list"], capture_output=True, check=False)
        if listed.returncode == 0 and len(now) == grubenv.SIZE:
            shown = [f"{key}={value}" for key, value in grubenv.values(now).items()]
            assert listed.stdout.decode("utf-8", "replace").split("\n")[:-1] == shown, name


JUDGES = {"grub.cfg": ("grub-script-check",), "grub": ("bash", "-n"), "bootloader": ("bash", "-n")}


@pytest.mark.parametrize("name", sorted(rows.families().values()))
def test_grub_and_a_shell_take_what_becomes_of_each_family(name: str, tmp_path: Path) -> None:
    for change in text_guest.plan(name).changes:
        command = JUDGES.get(change.path.rpartition("/")[2])
        if command is not None and change.after is not None and shutil.which(command[0]) is not None:
            path = tmp_path / "result"
            path.write_bytes(change.after)
            assert subprocess.run([*command, path], check=False).returncode == 0, change.path
