"""Which hives are sound: real ones, made ones, and ones with one thing wrong."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import hives
from imgpatch.errors import FormatError
from imgpatch.formats import regf, registry
from tests.hive_corpus import DAMAGED, HIVES, hive

TEXT = """
[Select]
"Current"=dword:00000001
[ControlSet001\\Services\\atapi]
"Start"=dword:00000003
"Group"="SCSI miniport"
@="no name"
[ControlSet001\\Services\\disk]
[ControlSet001\\Control]
"long"=hex:%s
"list"=multi:"one","two"
""" % ",".join(["ab"] * 40_000)  # noqa: UP031


@pytest.mark.parametrize("name", HIVES)
def test_real_hives_are_sound_or_known_not_to_be(name: str) -> None:
    if name in DAMAGED:
        with pytest.raises(FormatError):
            regf.check(hive(name))
    else:
        regf.check(hive(name))


@pytest.mark.parametrize("minor", [3, 5])
def test_a_made_hive_says_what_its_text_says(minor: int) -> None:
    root = registry.read(hives.build(TEXT, minor=minor))
    atapi = root.at("controlset001\\SERVICES\\atapi")
    assert atapi is not None
    assert atapi.path == "ControlSet001\\Services\\atapi"
    assert atapi.value("start") == registry.Value("Start", registry.Type.DWORD, b"\3\0\0\0")
    assert (group := atapi.value("Group")) is not None
    assert group.text == "SCSI miniport"
    assert (default := atapi.value("")) is not None
    assert default.text == "no name"
    control = root.at("ControlSet001\\Control")
    assert control is not None
    assert (long := control.value("long")) is not None
    assert long.data == b"\xab" * 40_000
    assert (listed := control.value("list")) is not None
    assert listed.texts == ("one", "two")


def test_a_long_value_without_segments_may_look_like_one_with() -> None:
    """Versions before 1.4 have none, whatever the bytes are."""
    data = b"db" + b"\x07" * 20_000
    key = registry.read(hives.build(f'[a]\n"v"=hex:{data.hex(",")}\n', minor=3)).at("a")
    assert key is not None
    assert (value := key.value("v")) is not None
    assert value.data == data


def test_of_two_values_alike_the_first_counts() -> None:
    made = hives.build('[a]\n"Start1"=dword:1\n"Start2"=dword:2\n').replace(b"Start2", b"START1")
    key = registry.read(made).at("a")
    assert key is not None
    assert (value := key.value("start1")) is not None
    assert value.number == 1


def test_turkish_names_are_in_the_order_of_windows() -> None:
    """The dotless i comes after all Latin letters: it has no upper case there."""
    one, two = "Yazicj", "Yazic\u0131"
    made = hives.build(f"[{two}]\n[{one}]\n")
    (lists,) = (i for i in range(regf.HEADER, len(made) - 4, 4) if made[i : i + 4] == b"lh\2\0")
    first, second = made[lists + 4 : lists + 12], made[lists + 12 : lists + 20]
    swapped = damaged(made, lists + 4, second + first)
    assert [key.name for key in registry.read(swapped).subkeys.values()] == [one, two]


def damaged(data: bytes, offset: int, new: bytes, *, header: bool = False) -> bytes:
    after = data[:offset] + new + data[offset + len(new) :]
    return after if header else regf.with_base(after, sequence=1)


def at(data: bytes, signature: bytes) -> int:
    """Where the contents of the first cell of a kind begin."""
    return data.index(signature, regf.HEADER + regf.BIN_HEADER)


@pytest.mark.parametrize(
    ("what", "damage"),
    [
        ("does not begin with `regf`", lambda d: b"x" + d[1:]),
        ("checksum", lambda d: damaged(d, 100, b"x", header=True)),
        ("version 2.5", lambda d: damaged(d, 20, b"\2")),
        ("no bin begins at 0x1000", lambda d: damaged(d, regf.HEADER, b"x")),
        ("should have", lambda d: d[:-4096]),
        ("impossible size of 0", lambda d: damaged(d, regf.HEADER + 32, b"\0\0\0\0")),
        ("b'nk' was wanted", lambda d: damaged(d, at(d, b"nk"), b"kn")),
        ("subkeys and has", lambda d: damaged(d, at(d, b"nk") + 20, b"\1")),
        ("no cell of 4 bytes in use", lambda d: damaged(d, at(d, b"nk") + 28, b"\1\0\0\0")),
        ("name is longer than its cell", lambda d: damaged(d, at(d, b"nk") + 72, b"\xff\x7f")),
        ("list of subkeys was wanted", lambda d: damaged(d, at(d, b"lh"), b"xx")),
        ("longer than its cell", lambda d: damaged(d, at(d, b"lh") + 2, b"\xff\xff")),
        (
            "is not in order",
            lambda d: damaged(d, d.rfind(b"lh") + 12, d[d.rfind(b"lh") + 4 :][:4]),
        ),
        ("segments cannot hold", lambda d: damaged(d, at(d, b"db") + 2, b"\2")),
    ],
)
def test_one_thing_wrong_is_refused_with_its_place(what: str, damage: object) -> None:
    data = hives.build(TEXT)
    regf.check(data)
    assert callable(damage)
    with pytest.raises(FormatError, match=what):
        regf.check(damage(data))


def test_a_loop_of_keys_ends() -> None:
    data = hives.build("[a\\b\\c]\n")
    lists = [i for i in range(regf.HEADER, len(data) - 4, 4) if data[i : i + 4] == b"lh\1\0"]
    (root,) = struct.unpack_from("<I", data, 36)
    for place in lists:
        with pytest.raises(FormatError):
            regf.check(damaged(data, place + 4, struct.pack("<I", root)))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12_287), st.binary(min_size=1, max_size=4)), max_size=8))
def test_a_hive_with_any_bytes_changed_is_read_or_refused(changes: list[tuple[int, bytes]]) -> None:
    data = hives.build('[a\\b]\n"v"="text"\n[a\\c]\n"w"=multi:"x"\n[d]\n')
    for offset, new in changes:
        place = offset % len(data)
        data = data[:place] + new + data[place + len(new) :]
    data = regf.with_base(data, sequence=1)
    try:
        root = registry.read(data)
    except FormatError:
        return
    for key in root.walk():
        for value in key.values.values():
            assert (value.text, value.texts, value.number) is not None
