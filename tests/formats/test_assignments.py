"""Files of assignments, line by line: nothing lost, and what goes leaves no trace in the shell's way."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import assignments
from imgpatch.formats.shellvars import Assignment

PIECES = [
    "A=1",
    "B='x y'",
    'C="1\n2"',
    "D=$'a\\'b'",
    "E=",
    "export ",
    "# A=2",
    ";",
    " ",
    "\t",
    "\n",
    "\n",
    "\r\n",
]
PIECES += [
    "\\\n",
    "if x",
    "then",
    "fi",
    "F = 1",
    "'",
    '"',
    "\ufeff",
    "caf\udce9",
    "A+=2",
    "&&",
    "$(x",
    ")",
    "`",
    "#",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


def without(text: str, name: str) -> str:
    lines = [line.mapped(lambda a: None if a.name == name else a.raw) for line in assignments.parse(text)]
    return assignments.unparse(line for line in lines if line is not None)


@settings(max_examples=400, derandomize=True)
@given(TEXTS)
def test_nothing_is_lost_and_lines_are_counted(text: str) -> None:
    lines = assignments.parse(text)
    assert assignments.unparse(lines) == text
    number = 1
    for line in lines:
        assert line.number == number
        number += line.text.count("\n")
        assert line.mapped(lambda a: a.raw) == line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\n", ""),
        ("A=1\nB=2\n", "B=2\n"),
        ("B=2\nA=1", "B=2\n"),
        ("A=1 B=2\n", "B=2\n"),
        ("B=2 A=1\n", "B=2\n"),
        ("A=1; B=2; C=3\n", "B=2; C=3\n"),
        ("B=2; A=1; C=3\n", "B=2; C=3\n"),
        ("B=2; C=3; A=1 # x\n", "B=2; C=3 # x\n"),
        ("export A=1 B=2\n", "export B=2\n"),
        ("export A=1\nB=2\n", "B=2\n"),
        ("B=2; export A=1\n", "B=2\n"),
        ("export A=1; B=2\n", "B=2\n"),
        ("export A=1 A=2; B=2\n", "B=2\n"),
        ("export A=1 A=2 C=3; B=2\n", "export C=3; B=2\n"),
        ("A='x\ny' # it\nB=2\r\n", "B=2\r\n"),
        ("B=2 \\\n  A=1\nC=3\n", "B=2\nC=3\n"),
        ("# A=1\n\tA=1 \n\nB=2\n", "# A=1\n\nB=2\n"),
        ("# x \\\nA=1\nB=2\n", "# x \\\nB=2\n"),
        ("A=1\nA=2\nB=$A\n", "B=$A\n"),
        ("A = 1\n", "A = 1\n"),
    ],
)
def test_what_goes_takes_its_line_or_its_separator_along(text: str, expected: str) -> None:
    assert without(text, "A") == expected


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.sampled_from([*PIECES[:5], "F=\\;1", "# x", "export "]), max_size=6), st.sampled_from(" ;\n")
)
def test_a_shell_reads_the_rest_as_before(parts: list[str], gap: str) -> None:
    text = gap.join(parts) + "\n"
    lines = assignments.parse(text)
    if any(not line.is_plain() for line in lines):
        return
    names = {a.name for line in lines for a in line.assignments} - {"A"}
    assert _said(without(text, "A"), names) == _said(text, names)


def _said(text: str, names: set[str]) -> bytes:
    show = "".join(f'printf "%s\\0" "{name}=${name}";' for name in sorted(names))
    script = f"set -e\n{text}\n{show}"
    return subprocess.run(["bash", "-c", script], env={}, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\n# x\n\nB='2' C=3; D=4 # y\nexport E=5\n", ()),
        ("A = 1\nB= 2\n", ()),
        ("\ufeffDEVICE=eth0\nB=2\n", ()),
        ("A=1\n. /etc/other\n", (2,)),
        ("A=1\nip link set eth0 up\n", (2,)),
        ("[ -f /x ] && A=1\nB=2\n", (1,)),
        ("if x; then\nA=1\nfi\nB=2\n", (1, 2, 3)),
        ("A=1 command\n", (1,)),
        ("B=1\nA='1\n", (2,)),
        ("A=`x`\n", ()),
    ],
)
def test_shell_code_is_told_from_assignments(text: str, expected: tuple[int, ...]) -> None:
    assert assignments.code(assignments.parse(text)) == expected


def test_a_mistake_is_no_code_but_is_known() -> None:
    lines = assignments.parse("BOOTPROTO = none\nA=1\n")
    assert [line.is_refused() for line in lines] == [True, False]


@pytest.mark.parametrize(
    ("texts", "at", "expected"),
    [
        (["A=1\n", "B=2\n"], 0, "A=1\nN=1\nB=2\n"),
        (["A=1\n", "B=2"], 1, "A=1\nB=2\nN=1"),
        (["", "B=2\n"], 0, "N=1\nB=2\n"),
        (["A=1\r\n"], 0, "A=1\r\nN=1\r\n"),
    ],
)
def test_new_lines_leave_the_end_of_the_file_as_it_is(texts: list[str], at: int, expected: str) -> None:
    end = "\r\n" if "\r\n" in "".join(texts) else "\n"
    assert "".join(assignments.inserted(texts, at, ["N=1"], end)) == expected


def test_a_changed_value_stays_where_it_is() -> None:
    (line,) = assignments.parse("A=1  B='2' # x\n")

    def change(item: Assignment) -> str:
        return "'3'" if item.name == "B" else item.raw

    changed = line.mapped(change)
    assert changed is not None
    assert changed.text == "A=1  B='3' # x\n"
