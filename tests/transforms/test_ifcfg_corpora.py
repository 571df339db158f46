"""The laws that hold on every real ifcfg, route and rule file, as it stands and spoiled; bash agrees."""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import assignments
from imgpatch.inspection.network import inspect_network
from imgpatch.inspection.stacks import ifcfg
from imgpatch.plan import Plan, Reason, Transform, make_plan, planned
from imgpatch.transforms.ifcfg import ADDRESSING
from tests.networks import CORPORA, MODULES, context, corpus, guest, mutations, plan

FOLDER = "/etc/sysconfig/network-scripts"
FILES = corpus("ifcfg")
SET = {"DEVICE", "BOOTPROTO", "ONBOOT"}
needs_corpora = pytest.mark.skipif(not FILES, reason="the corpora are not here")


def name_of(file: Path) -> str:
    """The name in network-scripts, as the corpus keeps it in the name of the file."""
    name = re.split(r"_network-scripts_|_network_|_host\d_", file.name)[-1].removesuffix(".cexpected")
    return name if re.match(r"(ifcfg|route6?|rule6?|keys)-.", name) else "ifcfg-eth0"


def text_of(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "surrogateescape")


@cache
def planned_of(file: Path) -> Plan:
    """With an ifcfg file of the same name beside routes and keys."""
    name = name_of(file)
    device = name.partition("-")[2]
    beside = (
        {} if name.startswith("ifcfg-") else {f"{FOLDER}/ifcfg-{device}": "DEVICE=eth0\nBOOTPROTO=dhcp\n"}
    )
    return plan(guest({**beside, f"{FOLDER}/{name}": file.read_bytes()}))


def outcome(file: Path) -> tuple[str, tuple[Reason, ...]]:
    """The text after, '' for a file that goes, and the reasons."""
    for change in planned_of(file).changes:
        if change.path == f"{FOLDER}/{name_of(file)}":
            return (change.after or b"").decode("utf-8", "surrogateescape"), change.reasons
    return text_of(file), ()


@needs_corpora
def test_nothing_is_lost() -> None:
    for file in FILES:
        for data in (file.read_bytes(), *mutations(file.read_bytes(), file.name, cuts=3)):
            text = data.decode("utf-8", "surrogateescape")
            assert assignments.unparse(assignments.parse(text)) == text, file


@needs_corpora
def test_none_crashes_and_a_second_plan_is_empty() -> None:
    for number, file in enumerate(FILES):
        planned_of(file)
        ways = mutations(file.read_bytes(), file.name, cuts=3)
        plan(guest({f"{FOLDER}/{name_of(file)}": ways[number % len(ways)]}))


@needs_corpora
def test_every_file_changes_or_has_a_reason_not_to() -> None:
    for file in FILES:
        notes = planned_of(file).notes
        if outcome(file)[0] != text_of(file) or any(name_of(file) in note.text for note in notes):
            continue
        lines = assignments.parse(text_of(file))
        held = {a.name for line in lines for a in line.assignments}
        network = inspect_network(guest({f"{FOLDER}/{name_of(file)}": file.read_bytes()}))
        on_no_nic = not network.places
        assert (
            on_no_nic or not any(map(ADDRESSING.fullmatch, held)) or not name_of(file).startswith("ifcfg")
        ), file


@needs_corpora
def test_only_the_lines_that_are_named_change_and_remarks_stay() -> None:
    for file in FILES:
        before, (after, reasons) = text_of(file), outcome(file)
        if not after.strip():
            continue
        allowed = {number for reason in reasons for number in _physical(before, reason)}
        old, new = before.split("\n"), after.split("\n")
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        for kind, start, end, *_ in matcher.get_opcodes():
            if kind in {"delete", "replace"}:
                left = {number + 1 for number in range(start, end) if old[number]} - allowed
                assert not left, (file, left)
        for mark in re.findall(r"^[ \t]*#.*$", before, re.MULTILINE):
            assert mark in after, file


def _physical(before: str, reason: Reason) -> Iterator[int]:
    """The numbers of all physical lines of the logical line that a reason names."""
    match = re.match(r"(?:after )?line (\d+)", reason.text)
    for line in assignments.parse(before):
        if match and line.number == int(match[1]):
            yield from range(line.number, line.number + max(1, line.text.count("\n")))


@needs_corpora
@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_reads_every_variable_that_is_not_named_as_before(tmp_path: Path) -> None:
    judged = []
    for number, file in enumerate(FILES):
        before, (after, reasons) = text_of(file), outcome(file)
        lines = assignments.parse(before)
        harmless = not re.search(r"[`$](?!')", before) and "\r" not in before and not assignments.code(lines)
        if after == before or not after or not harmless or not name_of(file).startswith("ifcfg"):
            continue
        named = {n for reason in reasons for n in _physical(before, reason)}
        gone = {a.name for line in lines if line.number in named for a in line.assignments}
        for side, text in (("before", before), ("after", after)):
            (tmp_path / f"{number}.{side}").write_text(
                text, encoding="utf-8", errors="surrogateescape", newline=""
            )
        judged.append((str(number), gone | SET, file))
    script = 'for f in *.before *.after; do (. "./$f"; set -o posix; set) > "$f.said" 2>/dev/null; done'
    subprocess.run([shutil.which("bash") or "", "-c", script], cwd=tmp_path, env={}, check=True)
    for number_text, ours, file in judged:
        assert _said(tmp_path, f"{number_text}.before", ours) == _said(
            tmp_path, f"{number_text}.after", ours
        ), file
    assert len(judged) > 150


def _said(folder: Path, name: str, ours: set[str]) -> list[str]:
    lines = (folder / f"{name}.said").read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    shell_own = {"BASH_ARGC", "BASH_ARGV", "PPID", "_", "f", "BASHPID", "RANDOM", "SECONDS", "PIPESTATUS"}
    return [line for line in lines if line.partition("=")[0] not in ours | shell_own]


def groups() -> dict[str, dict[str, str]]:
    """One host's files that belong together, by the manifest."""
    manifest = CORPORA / "MANIFEST.tsv"
    if not manifest.exists():
        return {}
    found: dict[str, dict[str, str]] = {}
    rows = [line.split("\t") for line in manifest.read_text(encoding="utf-8").split("\n")]
    for row in rows:
        if row[0].startswith("ifcfg/") and "malformed" not in row[0] and len(row) > 6:
            file = CORPORA / row[0]
            device = re.search(r"^DEVICE=[\"']?([^\"'\n]+)", text_of(file), re.MULTILINE)
            name = name_of(file)
            if name == "ifcfg-eth0" and device and not file.name.endswith("ifcfg-eth0"):
                name = f"ifcfg-{device[1]}"
            found.setdefault(row[6], {})[f"{FOLDER}/{name}"] = text_of(file)
    return {group: files for group, files in found.items() if len(files) > 1 and "suse" not in group}


@needs_corpora
def test_a_host_as_a_whole_has_one_address_left_to_ask_for() -> None:
    """Ports never ask, no static address of a NIC is left, and no route of one."""
    assert len(groups()) > 15
    for group, files in groups().items():
        machine = guest(files)
        changes = plan(machine).changes
        after = planned(machine, {change.path: change.after for change in changes})
        network = inspect_network(after)
        configs = [c for c in ifcfg.configs(after) if (c.name or c.path) in network.places and not c.obscure]
        assert not any(config.is_static for config in configs), group
        assert not any(config.is_port and config.value("BOOTPROTO") == "dhcp" for config in configs), group
        if network.nics:
            asking = [
                c
                for c in configs
                if c.is_dhcp and not c.is_no("ONBOOT") and network.places[c.name or ""].primary
            ]
            assert asking, group
        assert not any("via" in (after.text(path) or "") for path in ifcfg.route_files(after)), group


@needs_corpora
def test_a_host_of_bonds_teams_bridges_and_vlans() -> None:
    """The files of ReaR's own test machine, ifcfg and routes together."""
    files = groups()["rear/rear:tests/setup1"]
    machine = guest(files)
    result = {change.path.removeprefix(f"{FOLDER}/"): change.after for change in plan(machine).changes}
    assert {name for name, data in result.items() if data is None} == {
        name.removeprefix(f"{FOLDER}/") for name in files if "/route-" in name
    }
    assert b'BOOTPROTO="dhcp"\n' in (result["ifcfg-bond12"] or b"")
    assert b"IPADDR" not in b"".join(data or b"" for data in result.values())
    assert b'BOOTPROTO="none"\n' in (result["ifcfg-vlan1eth9"] or b"")
    for port in ("ifcfg-eth2", "ifcfg-eth3", "ifcfg-eth7", "ifcfg-eth11"):
        assert b"dhcp" not in (result.get(port) or b""), port


PIECES = [
    "DEVICE=eth0",
    "DEVICE=ens1",
    "DEVICE=ens1:1",
    "DEVICE=ens1.7",
    "DEVICE=bond0",
    "VLAN=yes",
    "SLAVE=yes",
]
PIECES += [
    "MASTER=bond0",
    "BRIDGE=br0",
    "TYPE=Bridge",
    "BOOTPROTO=static",
    "BOOTPROTO='dhcp'",
    "BOOTPROTO = none",
]
PIECES += [
    "IPADDR=1.2.3.4",
    "GATEWAY=1.2.3.1",
    "HWADDR=00:11:22:33:44:55",
    "ONBOOT=no",
    "# x",
    "",
    "export A=1",
]
PIECES += [
    "PHYSDEV=ens1",
    "A=$(x)",
    "if x",
    "'",
    "\\",
    "IPADDR1=1 MTU=2; GATEWAY=3",
    "NAME='System ens1'",
    "\ufeff",
]
NAMES = [
    "ifcfg-eth0",
    "ifcfg-ens1",
    "ifcfg-x",
    "ifcfg-ens1:1",
    "ifcfg-ens1-range0",
    "route-ens1",
    "rule-eth0",
]


@settings(max_examples=400, derandomize=True, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.lists(st.sampled_from(PIECES), max_size=8).map("\n".join), max_size=4
    ),
    st.sampled_from(["", "GATEWAY=1.2.3.1\n", "GATEWAYDEV=ens1\n"]),
    st.sampled_from(["eth0", "keep"]),
)
def test_any_host_is_planned_and_planned_once(texts: dict[str, str], everywhere: str, nic_names: str) -> None:
    files = {f"{FOLDER}/{name}": text for name, text in texts.items()}
    machine = guest({**files, ifcfg.GLOBAL: everywhere})
    first = plan(machine, nic_names)
    for change in first.changes:
        if change.after is not None and change.before is not None and "/ifcfg-" in change.path:
            before = ifcfg.values(assignments.parse(change.before.decode()), {})
            after = ifcfg.values(assignments.parse(change.after.decode()), {})
            if ":" in before.get("DEVICE", ""):  # an alias goes, and another file may take its name
                continue
            assert before.get("A") == after.get("A")
            assert before.get("MTU") == after.get("MTU")
            assert before.get("TYPE") == after.get("TYPE")


def test_a_plan_does_not_depend_on_what_is_ignored() -> None:
    files = {f"{FOLDER}/ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=1.2.3.4\n"}
    junk = {
        f"{FOLDER}/ifcfg-eth0.bak": "DEVICE=ens9\nGATEWAY=1.1.1.1\n",
        f"{FOLDER}/.ifcfg-eth0.imgpatch.orig": "x\n",
    }
    transforms = cast("Sequence[Transform]", MODULES)
    plans = [
        make_plan(machine, transforms, context(machine)) for machine in (guest(files), guest(files | junk))
    ]
    assert plans[0].changes == plans[1].changes
