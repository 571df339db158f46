from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch import comparison
from imgpatch.comparison import Comparison, Node, Wanted, compare, order_key


@dataclass
class Side:
    """Files held in memory: path -> node, path -> contents."""

    files: Mapping[str, Node]
    data: Mapping[str, bytes] = field(default_factory=dict)
    hashed: list[str] = field(default_factory=list)

    def nodes(self) -> Iterator[Node]:
        for path in sorted(self.files, key=order_key):
            yield replace(self.files[path], size=len(self.data.get(path, b"")))

    def digests(self, paths: Sequence[str]) -> Mapping[str, str]:
        self.hashed += paths
        return {path: hashlib.sha256(self.data.get(path, b"")).hexdigest() for path in paths}

    def contents(self, nodes: Sequence[Node]) -> Mapping[str, bytes]:
        return {node.path: self.data.get(node.path, b"") for node in nodes}


def described(_path: str, before: bytes | None, after: bytes | None) -> Sequence[str]:
    return (f"{before!r} -> {after!r}",)


WANTED = Wanted(described, lambda _path, _both: 1 << 20)


def side(data: Mapping[str, bytes], *others: Node, **same: object) -> Side:
    nodes = {path: Node(path, "file", 0o644, **same) for path in data}  # type: ignore[arg-type]
    return Side(nodes | {node.path: node for node in others}, data)


def differing(one: Side, other: Side, wanted: Wanted = WANTED) -> Comparison:
    return compare(one, other, wanted)


def test_what_is_added_removed_and_changed_is_found_with_its_contents() -> None:
    found = differing(
        side({"/etc/a": b"1", "/etc/b": b"2", "/etc/same": b"x"}),
        side({"/etc/a": b"one", "/etc/c": b"3", "/etc/same": b"x"}),
    )
    assert [(d.kind, d.path, d.lines) for d in found.differences] == [
        ("change", "/etc/a", ("b'1' -> b'one'",)),
        ("remove", "/etc/b", ("b'2' -> None",)),
        ("add", "/etc/c", ("None -> b'3'",)),
    ]
    assert found.counts == {"add": 1, "change": 1, "remove": 1}


def test_contents_of_the_same_size_are_compared_by_digest_unless_their_place_proves_them_the_same() -> None:
    one = side({"/a": b"1", "/b": b"1", "/c": b"1"})
    other = side({"/a": b"2", "/b": b"1", "/c": b"1"})
    for files in (one, other):
        files.files = {**files.files, "/c": replace(files.files["/c"], place=b"p")}
    assert [d.path for d in differing(one, other).differences] == ["/a"]
    assert one.hashed == other.hashed == ["/a", "/b"]


def test_one_place_on_one_side_proves_nothing() -> None:
    one, other = side({"/a": b"1"}, place=b"p"), side({"/a": b"2"})
    assert [d.path for d in differing(one, other).differences] == ["/a"]


@pytest.mark.parametrize(
    ("after", "aspect"),
    [
        (Node("/x", "directory", 0o755), ("type", "file", "directory")),
        (Node("/x", "file", 0o600), ("mode", "0644", "0600")),
        (Node("/x", "file", 0o4644), ("mode", "0644", "4644")),
        (Node("/x", "file", 0o644, uid=33), ("owner", "0:0", "33:0")),
        (Node("/x", "file", 0o644, names=2), ("names", "1", "2")),
        (
            Node("/x", "file", 0o644, xattrs=(("security.selinux", b"u:r:t:s0\0"),)),
            ("security.selinux", None, "u:r:t:s0"),
        ),
        (Node("/x", "file", 0o644, xattrs=(("user.a", b"\0\1"),)), ("user.a", None, "0001")),
    ],
)
def test_everything_a_file_carries_is_compared(after: Node, aspect: tuple[str, str | None, str]) -> None:
    one, other = Side({"/x": Node("/x", "file", 0o644)}), Side({"/x": after})
    (difference,) = differing(one, other).differences
    assert aspect in [(a.name, a.before, a.after) for a in difference.aspects]
    assert not difference.contents


def test_links_by_their_targets_devices_by_their_numbers_and_times_only_when_asked() -> None:
    before = [
        Node("/l", "link", 0o777, target="a"),
        Node("/n", "block device", device="8:0"),
        Node("/t", "directory", mtime=1),
    ]
    after = [
        Node("/l", "link", 0o700, target="b"),
        Node("/n", "block device", device="8:1"),
        Node("/t", "directory", mtime=2),
    ]
    one, other = side({}, *before), side({}, *after)
    found = {d.path: [a.name for a in d.aspects] for d in differing(one, other).differences}
    assert found == {"/l": ["target"], "/n": ["device"]}
    (time,) = differing(one, other, replace(WANTED, times=True)).differences[2].aspects
    assert (time.before, time.after) == ("0.000000001", "0.000000002")


def test_an_added_file_that_is_an_original_names_it_and_is_not_read() -> None:
    data = {"/etc/fstab": b"old", "/etc/other": b"old"}
    new = {"/etc/fstab": b"new", "/etc/other": b"new", "/etc/fstab.bak": b"old", "/srv/copy": b"old"}
    found = {d.path: d for d in differing(side(data), side(new)).differences}
    assert found["/etc/fstab.bak"].original_of == "/etc/fstab"
    assert found["/etc/fstab.bak"].lines == ()
    assert found["/srv/copy"].original_of == "/etc/fstab"


def test_an_empty_file_is_nobodys_original() -> None:
    found = differing(side({"/a": b""}), side({"/b": b""}))
    assert [d.original_of for d in found.differences] == [None, None]


def test_configuration_comes_first_and_what_changes_by_itself_last() -> None:
    paths = ("/var/log/messages", "/usr/bin/x", "/etc/x", "/C:/windows/SYSTEM32/config/SYSTEM", "/var/logs")
    found = differing(side({}), side(dict.fromkeys(paths, b"x")))
    assert [d.path for d in found.differences] == [
        "/C:/windows/SYSTEM32/config/SYSTEM",
        "/etc/x",
        "/usr/bin/x",
        "/var/logs",
        "/var/log/messages",
    ]


def test_what_is_larger_than_the_limit_is_not_read() -> None:
    wanted = replace(WANTED, limit=lambda _path, both: 3 if both else 1)
    found = differing(
        side({"/a": b"1234", "/b": b"123"}), side({"/a": b"4321", "/b": b"321", "/c": b"12"}), wanted
    )
    assert [(d.path, bool(d.lines)) for d in found.differences] == [
        ("/a", False),
        ("/b", True),
        ("/c", False),
    ]


def test_contents_are_read_up_to_a_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "READ_IN_ALL", 5)
    found = differing(side({}), side({"/a": b"123", "/b": b"123", "/c": b"12"}))
    assert [bool(d.lines) for d in found.differences] == [True, False, True]


def test_what_could_not_be_read_differs() -> None:
    class Unreadable(Side):
        def digests(self, paths: Sequence[str]) -> Mapping[str, str]:
            return {}

        def contents(self, nodes: Sequence[Node]) -> Mapping[str, bytes]:
            return {}

    data = {"/x": b"1"}
    one, other = side(data), side(data)
    found = differing(Unreadable(one.files, data), Unreadable(other.files, data))
    assert [(d.path, d.contents, d.lines) for d in found.differences] == [("/x", True, ())]


def test_too_many_differences_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST", 10)
    monkeypatch.setattr(comparison, "AT_ONCE", 4)
    found = differing(side({}), side({f"/{n}": b"x" for n in range(25)}))
    assert (len(found.differences), found.left_out, found.counts) == (10, 15, {"add": 25})


names = st.sampled_from(["a", "a b", "a!", "a.x", "a-", "b", "\udcff", "é"])
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
trees = st.dictionaries(paths, st.binary(max_size=2), max_size=12)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(before=trees, after=trees)
def test_a_comparison_says_what_two_dictionaries_say(
    before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    found = differing(side(before), side(after))
    wanted = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert {d.path for d in found.differences} == wanted
    assert differing(side(before), side(before)).differences == ()


def test_files_that_are_the_same_cost_no_memory() -> None:
    class Many(Side):
        def nodes(self) -> Iterator[Node]:
            return (Node(f"/{n:07}", "file", size=1, place=b"p") for n in range(20_000))

    tracemalloc.start()
    found = differing(Many({}), Many({}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not found.differences
    assert peak < 1 << 18
