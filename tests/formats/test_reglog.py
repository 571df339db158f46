"""Logs replayed as Windows replays them: real sets with what Windows made of them, and made ones."""

from __future__ import annotations

import struct

import pytest

from fixtures import hives
from imgpatch.formats import regf, reglog
from tests.hive_corpus import CORPUS, hive

pytestmark: list[pytest.MarkDecorator] = []
real = pytest.mark.skipif(not CORPUS.exists(), reason="needs the corpus of real hives")

BEFORE = '[a]\n"v"=dword:1\n'
AFTER = '[a]\n"v"=dword:2\n'


def replayed(name: str, *logs: str) -> reglog.Replay:
    return reglog.replay(hive(name), [hive(log) for log in logs])


@real
@pytest.mark.parametrize(
    ("dirty", "logs", "expected", "entries"),
    [
        (
            "regipy/SYSTEM_B.xz",
            ("regipy/SYSTEM_B.LOG1.xz", "regipy/SYSTEM_B.LOG2.xz"),
            "recovered-expected/SYSTEM_B.recovered.xz",
            24,
        ),
        (
            "yarp/NewDirtyHive1__NewDirtyHive",
            ("yarp/NewDirtyHive1__NewDirtyHive.LOG1", "yarp/NewDirtyHive1__NewDirtyHive.LOG2"),
            "recovered-expected/NewDirtyHive1.recovered",
            4,
        ),
    ],
)
def test_real_logs_give_the_known_hive(
    dirty: str, logs: tuple[str, ...], expected: str, entries: int
) -> None:
    for order in (logs, logs[::-1]):
        done = replayed(dirty, *order)
        assert done.data == hive(expected)
        assert done.entries == entries
    regf.check(hive(expected))


@real
def test_windows_10_made_the_same_bins() -> None:
    done = replayed(
        "yarp/NewDirtyHive1__NewDirtyHive",
        "yarp/NewDirtyHive1__NewDirtyHive.LOG1",
        "yarp/NewDirtyHive1__NewDirtyHive.LOG2",
    )
    assert done.data is not None
    assert done.data[regf.HEADER :] == hive("yarp/NewDirtyHive1__RecoveredHive_Windows10")[regf.HEADER :]


@real
def test_windows_7_made_the_same_keys() -> None:
    """It wrote a time stamp into the first bin and one byte more after its own replay."""
    done = replayed("yarp/OldDirtyHive__OldDirtyHive", "yarp/OldDirtyHive__OldDirtyHive.LOG1")
    theirs = hive("yarp/OldDirtyHive__RecoveredHive_Windows7")
    assert done.data is not None
    different = [i for i in range(regf.HEADER, len(theirs)) if theirs[i] != done.data[i]]
    assert len(different) <= 9


@real
@pytest.mark.parametrize("name", ["BadLogHive1__BadLogHive", "BadBaseBlockHive__BadBaseBlockHive"])
def test_logs_that_windows_does_not_use_are_not_used(name: str) -> None:
    assert replayed(f"yarp/{name}", f"yarp/{name}.LOG1", f"yarp/{name}.LOG2").data is None


def dirty(data: bytes, primary: int = 2, secondary: int = 1) -> bytes:
    block = bytearray(data[:512])
    struct.pack_into("<II", block, 4, primary, secondary)
    struct.pack_into("<I", block, 508, regf.checksum(bytes(block)))
    return bytes(block) + data[512:]


def log(first: int, *entries: bytes) -> bytes:
    base = regf.with_base(hives.build(BEFORE)[:512], sequence=first, kind=reglog.NEW_KIND)
    return base + b"".join(entries)


def entry(sequence: int, hive: bytes) -> bytes:
    """One that brings a whole hive."""
    pages = hive[regf.HEADER :]
    body = struct.pack("<II", 0, len(pages)) + pages
    length = -(-(40 + len(body)) // 512) * 512
    body = body.ljust(length - 40, b"\0")
    head = struct.pack("<4sIIIIIQ", b"HvLE", length, 0, sequence, len(pages), 1, reglog.marvin32(body))
    return head + struct.pack("<Q", reglog.marvin32(head)) + body


def with_size(found: bytes, size: int) -> bytes:
    """An entry after which the bins have another size, its hash right."""
    head = found[:16] + struct.pack("<I", size) + found[20:32]
    return head + struct.pack("<Q", reglog.marvin32(head)) + found[40:]


ONE, TWO, THREE = (hives.build(f'[a]\n"v"=dword:{number}\n') for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("logs", "wanted", "sequence"),
    [
        pytest.param([log(2, entry(2, TWO))], TWO, 2, id="one entry"),
        pytest.param([log(2, entry(2, TWO), entry(3, THREE))], THREE, 3, id="two in a row"),
        pytest.param([log(2, entry(2, TWO)), log(3, entry(3, THREE))], THREE, 3, id="on in the other log"),
        pytest.param([log(3, entry(3, THREE)), log(2, entry(2, TWO))], THREE, 3, id="LOG2 is the older"),
        pytest.param([log(2, entry(2, TWO)), log(4, entry(4, THREE))], TWO, 2, id="a gap ends it"),
        pytest.param([log(2, entry(2, TWO), entry(4, THREE))], TWO, 2, id="a gap within a log"),
        pytest.param(
            [log(2, entry(2, TWO), entry(3, THREE)[:-1] + b"x")], TWO, 2, id="a damaged entry ends it"
        ),
        pytest.param([log(2, b"HvLE" + entry(2, TWO)[4:600])], None, 0, id="a cut entry"),
        pytest.param([b"", b""], None, 0, id="empty logs"),
        pytest.param([log(2)], None, 0, id="no entry"),
        pytest.param([log(0, entry(0, TWO))], None, 0, id="stale entries"),
        pytest.param([b"\xff" * 4096], None, 0, id="no log"),
    ],
)
def test_what_is_replayed(logs: list[bytes], wanted: bytes | None, sequence: int) -> None:
    done = reglog.replay(dirty(ONE), logs)
    if wanted is None:
        assert done == reglog.Replay(None, 0)
        return
    assert done.data is not None
    assert done.data[regf.HEADER :] == wanted[regf.HEADER :]
    base = regf.base_block(done.data)
    assert base is not None
    assert (base.primary, base.secondary, base.dirty) == (sequence, sequence, False)


def test_a_log_that_asks_for_gigabytes_is_of_no_use() -> None:
    made = bytearray(entry(2, TWO))
    struct.pack_into("<I", made, 16, 0xFFFFF000)
    struct.pack_into("<Q", made, 32, reglog.marvin32(bytes(made[:32])))
    assert reglog.replay(dirty(ONE), [log(2, bytes(made))]).data is None
    old = regf.with_base(ONE[:512], sequence=2, size=0xFFFFF000, kind=1) + b"DIRT" + bytes(1 << 20)
    assert reglog.replay(dirty(ONE), [old]).data is None


def test_a_lost_base_block_comes_from_the_log() -> None:
    lost = b"\0" * 512 + ONE[512:]
    done = reglog.replay(lost, [log(2, entry(2, TWO))])
    assert done.data is not None
    regf.check(done.data)
    assert done.data[regf.HEADER :] == TWO[regf.HEADER :]


def test_a_grown_hive_grows() -> None:
    large = hives.build("".join(f"[a\\{i:04}]\n" for i in range(200)))
    done = reglog.replay(dirty(ONE), [log(2, entry(2, large))])
    assert done.data is not None
    regf.check(done.data)
    assert len(done.data) == len(large)


@pytest.mark.parametrize("size", [8192, reglog.FREE + 8192, reglog.MAX_BINS // regf.BIN * regf.BIN])
def test_a_log_makes_no_hive_much_larger_than_what_it_brings(size: int) -> None:
    done = reglog.replay(dirty(ONE), [log(2, with_size(entry(2, TWO), size))])
    assert (done.data is None) == (size > 8192)
    assert done.data is None or len(done.data) == regf.HEADER + size


def test_a_log_that_is_too_large_is_not_read_in_part() -> None:
    whole = log(2, entry(2, TWO))
    assert reglog.replay(dirty(ONE), [whole.ljust(reglog.MAX_LOG, b"\0")]).data is not None
    assert reglog.replay(dirty(ONE), [whole.ljust(reglog.MAX_LOG + 1, b"\0")]).data is None
