"""Guests that mean harm: what is made to explode ends in one error, soon and in little memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import zstandard

from imgpatch.errors import FormatError, RefusedError
from imgpatch.formats import cpio, fstab, grubcfg, initramfs, interfaces, netplan, shellvars
from imgpatch.guest import MAX_NAMES, MAX_PATHS, MAX_TEXT, Guest, Kind, MemoryTree, Stat
from imgpatch.inspection.kernels import read_index
from imgpatch.storage import Storage

MIB = 1 << 20


@contextmanager
def within(seconds: float, memory: int) -> Iterator[None]:
    """Of this process's own time, and of what Python takes beyond what it had."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < seconds


def guest(tree: MemoryTree) -> Guest:
    return Guest(tree, Storage())


class Large(MemoryTree):
    """A tree with files that are only large in what stat says: reading one is what must not happen."""

    def __init__(self, size: int) -> None:
        super().__init__({}, stats={"/etc/fstab": Stat(Kind.FILE, size=size)})

    def read(self, path: str) -> bytes:
        raise AssertionError(f"{path} was read")


class Crowded(MemoryTree):
    """A folder of very many files."""

    def __init__(self, count: int) -> None:
        super().__init__({"/etc/network/interfaces.d/a": b""})
        self._many = [f"{number:07}" for number in range(count)]

    def listdir(self, path: str) -> list[str]:
        return self._many if path.endswith(".d") else list(super().listdir(path))

    def lstat(self, path: str) -> Stat | None:
        return Stat(Kind.FILE) if ".d/" in path else super().lstat(path)


@pytest.mark.parametrize("size", [MAX_TEXT + 1, 100 * MIB, 1 << 40])
def test_a_huge_file_of_configuration_is_refused_unread(size: int) -> None:
    with pytest.raises(RefusedError, match=f"/etc/fstab: a file of {size} bytes") as caught:
        guest(Large(size)).text("/etc/fstab")
    assert caught.value.hint


def test_no_file_is_read_without_a_limit() -> None:
    with pytest.raises(RefusedError, match=f"a file of {1 << 40} bytes"):
        guest(Large(1 << 40)).read("/etc/fstab")


def test_a_folder_of_a_million_files_is_refused() -> None:
    tree = Crowded(1_000_000)
    with within(10, 400 * MIB):
        with pytest.raises(RefusedError, match=f"1000000 names in the guest, and {MAX_NAMES}"):
            guest(tree).listdir("/etc/network/interfaces.d")
        with pytest.raises(RefusedError, match=f"1000000 names in the guest, and {MAX_NAMES}"):
            guest(tree).glob("/etc/network/interfaces.d/*")


def test_a_pattern_that_matches_too_much_is_refused() -> None:
    with pytest.raises(RefusedError, match=f"20000 paths in the guest, and {MAX_PATHS}"):
        guest(Crowded(20_000)).glob("/etc/network/interfaces.d/*")


@pytest.mark.parametrize(
    "links",
    [
        {"/etc/fstab": "fstab"},
        {"/etc/fstab": "/etc/fstab"},
        {"/etc/fstab": "/a", "/a": "/b", "/b": "/etc/fstab"},
        {"/etc": "/etc"},
        {"/etc": "etc/etc"},
        {f"/{n}": f"/{n + 1}" for n in range(1000)} | {"/etc/fstab": "/0"},
        {f"/{n}": f"/{n + 1}/../{n + 1}" for n in range(1000)} | {"/etc/fstab": "/0"},
        {"/etc/fstab": "fstab/" * 680},
    ],
)
def test_links_that_go_round_or_too_deep_are_refused(links: dict[str, str]) -> None:
    with within(5, 50 * MIB), pytest.raises(RefusedError, match="too many levels of links"):
        guest(MemoryTree({}, links=links)).text("/etc/fstab")


def test_links_lead_nowhere_but_into_the_guest() -> None:
    tree = MemoryTree(
        {"/etc/passwd": b"the guest's"}, links={"/etc/fstab": "../../../../../../../etc/passwd"}
    )
    assert guest(tree).text("/etc/fstab") == "the guest's"


ZEROS = bytes(48 * MIB)
BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6),
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32, preset=0),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=0),
    "zstd": zstandard.ZstdCompressor(level=3).compress,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_an_initramfs_that_unpacks_without_end_is_refused_at_its_limit(kind: str) -> None:
    """Zeros within one file of an archive, and behind one."""
    limits = cpio.Limits(unpacked=32 * MIB)
    inside = cpio.make_entry("a", b"", mode=0o100644, mtime=0, ino=1)
    inside = inside[:54] + b"7FFFFFFF" + inside[62:]
    for head in (inside, cpio.trailer()):
        bomb = BOMBS[kind](head + ZEROS)
        assert len(bomb) < MIB
        with within(20, 40 * MIB), pytest.raises(FormatError, match=r"unpacks to more than|cut off|no newc"):
            initramfs.parse(bomb, limits)


def test_an_initramfs_of_very_many_files_is_refused_at_its_limit() -> None:
    entry = cpio.make_entry("a", b"", mode=0o100644, mtime=0, ino=1)
    bomb = gzip.compress(entry * 12_000, 1)
    with within(20, 80 * MIB), pytest.raises(FormatError, match="more than 10000 entries"):
        initramfs.parse(bomb, cpio.Limits(entries=10_000))


WORST: dict[str, tuple[Callable[[str], object], str, int]] = {
    "fstab of empty lines": (fstab.parse, "\n", MAX_TEXT),
    "fstab of entries": (fstab.parse, "a b c\n", MAX_TEXT),
    "fstab of one line": (fstab.parse, "a ", MAX_TEXT),
    "grub.cfg of entries": (grubcfg.parse, "menuentry a {\n}\n", MAX_TEXT),
    "grub.cfg of conditions that do not end": (grubcfg.parse, "if a; then\n", MAX_TEXT),
    "grub.cfg of menus in menus": (grubcfg.parse, "submenu x {\n", MAX_TEXT),
    "grub.cfg of quotes": (grubcfg.parse, "'\"", MAX_TEXT),
    "grub.cfg of words": (grubcfg.parse, "a ", MAX_TEXT),
    "grub.cfg of continued lines": (grubcfg.parse, "\\\n", MAX_TEXT),
    "interfaces of empty lines": (interfaces.parse, "\n", MAX_TEXT >> 4),
    "interfaces of stanzas": (interfaces.parse, "auto a\n", MAX_TEXT >> 4),
    "interfaces of continued lines": (interfaces.parse, "\\\n", MAX_TEXT),
    "ifcfg of lines": (shellvars.parse, "A=1\n", MAX_TEXT >> 2),
    "ifcfg of quotes": (shellvars.parse, 'A="', MAX_TEXT),
    "ifcfg of commands in commands": (shellvars.parse, "A=$((", MAX_TEXT),
}
"""What is the slowest to read: the grammar, what is repeated, and how much of it (all are linear)."""


@pytest.mark.parametrize("name", WORST)
def test_no_configuration_below_the_limit_takes_long(name: str) -> None:
    parse, piece, size = WORST[name]
    start = time.process_time()
    parse(piece * (size // len(piece)))
    assert time.process_time() - start < 20


ALIASES = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALIASES, "anchor"),
        ("[" * 5000, "recursion"),
        ("".join(" " * depth + "a:\n" for depth in range(500)), "recursion"),
    ],
)
def test_netplan_that_explodes_is_refused(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        netplan.parse(text)


def test_an_index_of_modules_is_as_long_as_kernels_have_it() -> None:
    """Ubuntu's modules.alias has 1.5 MB: more than any configuration, and no reason to refuse the machine."""
    line = "alias pci:v00001D0Fd0000{:04X}sv*sd*bc*sc*i* nvme\n"
    aliases = "".join(line.format(number % 65536) for number in range(40_000))
    assert len(aliases) > MAX_TEXT
    tree = MemoryTree({"/lib/modules/6.8/modules.alias": aliases.encode()})
    assert read_index(guest(tree), "/lib/modules/6.8", ("modules.alias",)).aliases
