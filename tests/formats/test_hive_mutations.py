"""Hives with any bytes changed, made or real: read whole or refused, soon, and never anything else."""

from __future__ import annotations

import struct
import time
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures import hives, windows
from imgpatch.errors import FormatError
from imgpatch.formats import regf, registry, reglog
from tests.formats.test_reglog import ONE, dirty, entry, log
from tests.hive_corpus import CORPUS, DAMAGED, HIVES, hive

SECONDS = 5
few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WORDS = (0, 1, 8, 32, 4096, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF)


@cache
def seeds() -> tuple[bytes, ...]:
    made = [hives.build(windows.system_text(windows.row(name))) for name in ("2003", "2008r2", "2019")]
    made.append(hives.build(windows.boot_store_text(windows.row("2019")), minor=3))
    small = [n for n in HIVES if n not in DAMAGED and (CORPUS / n).stat().st_size < 40_000]
    return (*made, *(data for data in map(hive, small[:12]) if len(data) > 2 * regf.HEADER))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Bytes, words and pieces changed; the checksum is right again, since it protects nothing."""
    data = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(regf.HEADER, len(data) - 4)) & ~3
        word = draw(st.one_of(st.sampled_from(WORDS), st.integers(0, len(data)), st.integers(0, 0xFFFFFFFF)))
        struct.pack_into("<I", data, place, word)
    if draw(st.booleans()):
        struct.pack_into("<I", data, draw(st.sampled_from([36, 40])), draw(st.integers(0, 0xFFFFFFFF)))
    struct.pack_into("<I", data, 508, regf.checksum(bytes(data)))
    return bytes(data[: draw(st.integers(512, len(data)))]) if draw(st.booleans()) else bytes(data)


@few
@given(mutated())
def test_a_changed_hive_is_read_whole_or_refused(data: bytes) -> None:
    start = time.process_time()
    try:
        for key in registry.read(data).walk():
            for value in key.values.values():
                assert isinstance(value.text, str)
                assert isinstance(value.texts, tuple)
    except FormatError:
        pass
    assert time.process_time() - start < SECONDS


@few
@given(st.binary(max_size=600), st.integers(0, 3000), st.integers(0, 255))
def test_changed_logs_give_a_hive_or_nothing(noise: bytes, place: int, byte: int) -> None:
    whole = bytearray(log(2, entry(2, ONE)))
    whole[place % len(whole)] = byte
    done = reglog.replay(dirty(ONE), [bytes(whole), noise])
    assert done.data is None or len(done.data) >= len(ONE)


@few
@given(st.binary(max_size=5000))
def test_no_hive_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        registry.read(b"regf" + data)


def test_a_key_below_itself_is_refused() -> None:
    data = bytearray(hives.build("[a\\b]\n"))
    root = struct.unpack_from("<I", data, 36)[0]
    listed = next(i for i in range(regf.HEADER, len(data), 8) if data[i + 4 : i + 6] == b"lh")
    struct.pack_into("<I", data, listed + 8, root)
    with pytest.raises(FormatError):
        registry.read(bytes(data))


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the corpus of real hives")
@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_what_its_owners_damaged_is_refused(name: str) -> None:
    with pytest.raises(FormatError):
        registry.read(hive(name))
