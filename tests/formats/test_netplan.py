"""netplan's YAML as text: nothing but the named place changes, or the edit is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.errors import FormatError
from imgpatch.formats import netplan
from imgpatch.formats.netplan import Document, Path
from tests.networks import corpus, mutations

LAW = settings(max_examples=100, derandomize=True, deadline=None)
FILES = corpus("netplan")
BASE: Path = ("network", "ethernets", "a")
TEXTS = st.binary(max_size=120).map(lambda data: data.decode("utf-8", "surrogateescape"))


@LAW
@given(TEXTS)
def test_any_text_comes_back_or_is_refused(text: str) -> None:
    try:
        document = netplan.parse(text)
    except FormatError:
        return
    assert netplan.unparse(document) == text


@pytest.mark.skipif(not FILES, reason="the corpora are not here")
def test_the_corpus_comes_back_spoiled_or_is_refused() -> None:
    for path in FILES:
        netplan.parse(path.read_text(encoding="utf-8"))
        for data in mutations(path.read_bytes(), path.name, cuts=3):
            text = data.decode("utf-8", "surrogateescape")
            try:
                assert netplan.parse(text).text == text, path
            except FormatError:
                continue


KEYS = st.sampled_from(["dhcp4", "mtu", "addresses", "x", "match"])
SCALARS = st.sampled_from(["yes", '"no"', "'q'", "1500", "[1, 2]", "{a: b}", "null", ""])
COMMENTS = st.sampled_from(["", "  # note", "\n\n      # own line"])
MAPPINGS = st.lists(st.tuples(KEYS, SCALARS, COMMENTS), min_size=2, unique_by=lambda entry: entry[0])


@LAW
@given(MAPPINGS, st.booleans(), st.sampled_from(["\n", "\r\n"]), st.integers(0, 10))
def test_every_edit_of_any_mapping_changes_just_that(
    entries: list[tuple[str, str, str]], flow: bool, end: str, pick: int
) -> None:
    if flow:
        inner = " {" + ", ".join(f"{key}: {value}" for key, value, _ in entries) + "}"
    else:
        inner = "".join(f"\n      {key}: {value}{comment}" for key, value, comment in entries)
    text = f"network:\n  ethernets:\n    a:{inner}\n    # tail\n    b: {{}}\n".replace("\n", end)
    before = netplan.parse(text)
    key = entries[pick % len(entries)][0]
    old = before.mapping(BASE)
    removed = before.remove((*BASE, key))
    assert removed.mapping(BASE) == {k: v for k, v in old.items() if k != key}
    assert removed.at(("network", "ethernets", "b")) == {}
    inserted = removed.insert((*BASE, "new"), "true")
    assert inserted.mapping(BASE) == {**removed.mapping(BASE), "new": "true"}
    renamed = inserted.rename(BASE, "eth0")
    assert renamed.mapping(("network", "ethernets", "eth0")) == inserted.mapping(BASE)
    assert text.count("# own line") == renamed.text.count("# own line")
    assert "# tail" in renamed.text


TEXT = """\
# head
network:
  version: 2
  ethernets:
    a:   # the lan
      dhcp4: "no"
      addresses:
        # first
        - 1.2.3.4/24   # inner
        - 5.6.7.8/24

      mtu: 1500 # after
    flow: {dhcp4: no, addresses: [1, 2], x: }
    empty:
"""


@pytest.mark.parametrize(
    ("edit", "gone", "new"),
    [
        (
            lambda d: d.remove((*BASE, "addresses")),
            ["      addresses:", "        - 1.2.3.4/24   # inner", "        - 5.6.7.8/24", ""],
            [],
        ),
        (lambda d: d.set_scalar((*BASE, "dhcp4"), "true"), ['      dhcp4: "no"'], ['      dhcp4: "true"']),
        (lambda d: d.insert((*BASE, "dhcp6"), "no"), [], ["      dhcp6: no"]),
        (lambda d: d.rename(BASE, "eth0"), ["    a:   # the lan"], ["    eth0:   # the lan"]),
        (
            lambda d: d.remove(("network", "ethernets", "flow", "addresses")),
            ["    flow: {dhcp4: no, addresses: [1, 2], x: }"],
            ["    flow: {dhcp4: no, x: }"],
        ),
        (
            lambda d: d.insert(("network", "ethernets", "empty", "dhcp4"), "true"),
            ["    empty:"],
            ["    empty: {dhcp4: true}"],
        ),
    ],
)
def test_an_edit_touches_only_its_own_lines(
    edit: Callable[[Document], Document], gone: list[str], new: list[str]
) -> None:
    after = edit(netplan.parse(TEXT)).text.split("\n")
    before = TEXT.split("\n")
    kept = [line for line in before if line in after]
    assert [line for line in after if line not in before] == new
    assert [line for line in before if line not in after] == [line for line in gone if line]
    assert [line for line in after if line in before and line] == [line for line in kept if line]


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\n",
        "a: 1\n---\nb: 2\n",
        "a: 1\na: 2\n",
        "{a: 1",
        "a:\n\t- b\n",
        "[1, 2]: x\n",
        "a: \udce9\n",
        "\ufeffa: 1\n",
    ],
)
def test_what_cannot_be_edited_safely_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        netplan.parse(text)


def test_a_sole_key_is_not_removed() -> None:
    document = netplan.parse("network:\n  ethernets:\n    a:\n      dhcp4: no\n")
    with pytest.raises(FormatError):
        document.remove((*BASE, "dhcp4"))


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("a:\n- x: 1\n  y: 2\n- z\n", 0, "a:\n- z\n"),
        ("a:\n  # c\n  - x\n  # d\n  - y # e\n", 1, "a:\n  # c\n  - x\n  # d\n"),
        ("a: [x, y, z]\n", 0, "a: [y, z]\n"),
        ("a: [x, {k: v}]\n", 1, "a: [x]\n"),
        ("a: [x]\n", 0, None),
        ("a:\n- - x\n  - y\n", 0, None),
    ],
)
def test_an_item_of_a_list_goes_alone(text: str, place: int, expected: str | None) -> None:
    document = netplan.parse(text)
    if expected is None:
        with pytest.raises(FormatError):
            document.remove_item(("a", place))
    else:
        assert document.remove_item(("a", place)).text == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n- x: 1\n  y: 2\n", "a:\n- y: 2\n"),
        ("a:\n- x: 1 # one\n  y: 2\n", None),
        ("a:\n- x:\n  - 1\n  y: 2\n", "a:\n- y: 2\n"),
    ],
)
def test_the_first_key_of_an_item_goes(text: str, expected: str | None) -> None:
    document = netplan.parse(text)
    if expected is None:
        with pytest.raises(FormatError):
            document.remove(("a", 0, "x"))
    else:
        assert document.remove(("a", 0, "x")).text == expected


@pytest.mark.parametrize(
    ("text", "start"), [("a:\n  x: 1\n", "a:\n  l: [{k: v}]\n  x"), ("a: {x: 1}\n", "a: {l:")]
)
def test_a_list_is_added(text: str, start: str) -> None:
    filled = netplan.parse(text).fill(("a", "l"), "[{k: v}]")
    assert filled.text.startswith(start)
    assert filled.at(("a", "l")) == [{"k": "v"}]
