from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from imgpatch.errors import RefusedError
from imgpatch.images import probe
from imgpatch.images.doctor import Row, State, examine, usable
from imgpatch.images.probe import Kvm, Machine, appliance_settings, try_kvm

WHOLE = Machine(
    distribution=("debian",),
    guestfs="1.48.6",
    qemu=Path("/usr/bin/qemu-system-x86_64"),
    qemu_img=True,
    kvm=Kvm.WORKS,
    kernel=Path("/boot/vmlinuz-6.1"),
    unreadable_kernels=(),
    fixed_appliance=None,
    cache=Path("/var/tmp"),
    cache_room=8 << 30,
    appliance_built=True,
    backend_settings=None,
)


def row(machine: Machine, subject: str) -> Row:
    return next(found for found in examine(machine) if found.subject == subject)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_machine_with_all_of_it_needs_nothing() -> None:
    rows = examine(WHOLE)
    assert {found.state for found in rows} == {State.OK}
    assert not any(found.remedy for found in rows)
    assert usable(rows)
    settings = appliance_settings(WHOLE)
    assert not settings.force_tcg
    assert settings.parameters == ()


@pytest.mark.parametrize("kvm", [Kvm.ABSENT, Kvm.FORBIDDEN, Kvm.BROKEN, Kvm.UNTRIED])
def test_without_kvm_it_emulates_and_says_so(kvm: Kvm) -> None:
    machine = replace(WHOLE, kvm=kvm)
    assert appliance_settings(machine).force_tcg
    found = row(machine, "KVM")
    assert (found.state, usable(examine(machine))) == (State.SLOW, True)
    assert found.remedy
    assert "emulation" in found.found


@pytest.mark.parametrize(("settings", "emulates"), [("force_tcg", True), ("force_kvm", False)])
def test_the_users_own_backend_settings_win(settings: str, emulates: bool) -> None:
    machine = replace(WHOLE, kvm=Kvm.BROKEN, backend_settings=settings)
    found = appliance_settings(machine)
    assert not found.force_tcg, "left to the variable"
    assert bool(found.append) == emulates
    assert settings in row(machine, "KVM").found


@pytest.mark.parametrize(
    ("machine", "subject", "said"),
    [
        (replace(WHOLE, guestfs=None), "libguestfs", "apt install python3-guestfs"),
        (replace(WHOLE, qemu=None), "QEMU", "apt install qemu-system-x86"),
        (replace(WHOLE, kernel=None), "appliance kernel", "apt install linux-image"),
        (
            replace(WHOLE, kernel=None, unreadable_kernels=(Path("/boot/vmlinuz-6.8"),)),
            "appliance kernel",
            "chmod 0644 /boot/vmlinuz-6.8",
        ),
    ],
)
def test_what_is_missing_is_refused_with_what_to_do(machine: Machine, subject: str, said: str) -> None:
    assert not usable(examine(machine))
    assert said in row(machine, subject).remedy
    with pytest.raises(RefusedError) as caught:
        appliance_settings(machine)
    assert said in (caught.value.hint or "")


def test_a_fixed_appliance_needs_no_kernel() -> None:
    machine = replace(
        WHOLE, kernel=None, fixed_appliance=Path("/opt/appliance"), appliance_built=False, cache_room=0
    )
    assert usable(examine(machine))
    assert appliance_settings(machine).force_tcg is False


@pytest.mark.parametrize(
    ("built", "room", "state"),
    [
        (True, 0, State.OK),
        (False, 0, State.MISSING),
        (False, None, State.MISSING),
        (False, 8 << 30, State.SLOW),
    ],
)
def test_the_appliance_needs_a_place(built: bool, room: int | None, state: State) -> None:
    machine = replace(WHOLE, appliance_built=built, cache_room=room)
    assert row(machine, "appliance cache").state is state


def test_no_qemu_img_is_missing() -> None:
    assert row(replace(WHOLE, qemu_img=False), "qemu-img").state is State.MISSING


@pytest.mark.parametrize(
    ("qemu", "kvm"),
    [
        ("echo '[ 1.5] Kernel panic - not syncing: VFS'; exit 0", Kvm.WORKS),
        ("echo 'failed to set MSR' >&2; exit 134", Kvm.BROKEN),
        ("echo 'Kernel panic'; kill -ABRT $$", Kvm.BROKEN),
        ("exit 0", Kvm.BROKEN),
        ("exec sleep 30", Kvm.BROKEN),
    ],
)
def test_only_a_kernel_that_runs_to_its_panic_proves_kvm(tmp_path: Path, qemu: str, kvm: Kvm) -> None:
    assert try_kvm(script(tmp_path / "qemu", qemu), tmp_path / "kernel", patience=1) is kvm


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose QEMU writes down that it ran."""
    (tmp_path / "kernel").touch()
    (tmp_path / "cache").mkdir()
    script(tmp_path / "qemu", f"echo ran >> {tmp_path}/runs; echo 'Kernel panic'")
    monkeypatch.setattr(probe, "_KVM", tmp_path / "kvm")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SUPERMIN_KERNEL", str(tmp_path / "kernel"))
    monkeypatch.setenv("LIBGUESTFS_HV", str(tmp_path / "qemu"))
    return tmp_path


def runs(host: Path) -> int:
    return len((host / "runs").read_text().split()) if (host / "runs").exists() else 0


def test_kvm_is_tried_once_and_remembered(host: Path) -> None:
    (host / "kvm").touch()
    assert [probe.probe().kvm for _ in range(3)] == [Kvm.WORKS] * 3
    assert runs(host) == 1
    probe.probe(refresh=True)
    assert runs(host) == 2


@pytest.mark.parametrize("change", ["boot", "qemu", "kernel", "garbage", "other"])
def test_what_was_remembered_of_another_machine_does_not_count(host: Path, change: str) -> None:
    (host / "kvm").touch()
    probe.probe()
    memory = host / "cache/imgpatch/machine.json"
    data = json.loads(memory.read_bytes())
    if change in ("qemu", "kernel"):
        os.utime(host / change, (1, 1))
    elif change == "boot":
        data["key"]["boot"] = "another"
        memory.write_text(json.dumps(data))
    else:
        memory.write_bytes(b"\xff{" if change == "garbage" else b'["x"]')
    assert probe.probe().kvm is Kvm.WORKS
    assert runs(host) == 2


def test_a_cache_that_cannot_be_written_only_costs_time(host: Path) -> None:
    (host / "kvm").touch()
    (host / "cache/imgpatch").write_bytes(b"a file")
    assert [probe.probe().kvm for _ in range(2)] == [Kvm.WORKS] * 2
    assert runs(host) == 2


def test_no_device_is_no_kvm(host: Path) -> None:
    assert probe.probe().kvm is Kvm.ABSENT
    assert runs(host) == 0


def test_the_named_kernel_is_the_one_that_counts(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe.probe().kernel == host / "kernel"
    monkeypatch.setenv("LIBGUESTFS_PATH", f"/nowhere:{host}")
    assert probe.probe().fixed_appliance is None
    (host / "README.fixed").touch()
    assert probe.probe().fixed_appliance == host


@pytest.mark.appliance
def test_the_probe_works_where_a_kernel_certainly_boots() -> None:
    machine = probe.probe()
    if machine.qemu is None or machine.kernel is None:
        pytest.skip("no QEMU or no readable kernel")
    assert try_kvm(machine.qemu, machine.kernel, accelerator="tcg", patience=300) is Kvm.WORKS
    assert try_kvm(machine.qemu, machine.kernel, accelerator="no-such", patience=60) is Kvm.BROKEN
