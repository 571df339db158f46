"""Module indexes: the same bytes as depmod's, and cut out of the text for some of the modules."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.errors import FormatError
from imgpatch.formats import modindex

HOST = sorted(Path("/lib/modules").glob("*/modules.dep"))

TEXTS = {
    "modules.dep": (
        "kernel/block/t10-pi.ko.xz: kernel/lib/crc-t10dif.ko.xz\n"
        "kernel/lib/crc-t10dif.ko.xz:\n"
        "kernel/arch/crct10dif-pclmul.ko.xz:\n"
        "kernel/drivers/nvme/host/nvme.ko.xz: kernel/drivers/nvme/host/nvme-core.ko.xz"
        " kernel/block/t10-pi.ko.xz kernel/lib/crc-t10dif.ko.xz\n"
        "kernel/drivers/nvme/host/nvme-core.ko.xz: kernel/block/t10-pi.ko.xz kernel/lib/crc-t10dif.ko.xz\n"
        "kernel/fs/ext4.ko.xz:\n"
    ),
    "modules.alias": (
        "# Aliases extracted from modules themselves.\n"
        "alias crypto-crct10dif crct10dif_pclmul\n"
        "alias pci:v0000144Dd*sv*sd*bc*sc*i* nvme\n"
        "alias fs-ext4 ext4\n"
    ),
    "modules.softdep": (
        "# Soft dependencies extracted from modules themselves.\n"
        "softdep crc_t10dif post: nothing pre: crypto-crct10dif unknown\n"
        "softdep ext4 crct10dif\n"
    ),
    "modules.symbols": "# Aliases for symbols, used by symbol_request().\nalias symbol:nvme_init nvme_core\n",
    "modules.devname": "",
}


def read_trie(data: bytes) -> dict[str, list[tuple[int, str]]]:
    """A reader of its own, by the format's description in libkmod-index.c."""
    magic, version, root = struct.unpack_from(">III", data)
    assert (magic, version) == (0xB007F457, 0x00020001)
    found: dict[str, list[tuple[int, str]]] = {}
    stack = [(root, "")]
    while stack:
        pointer, key = stack.pop()
        at = pointer & 0x0FFFFFFF
        if pointer & 0x80000000:
            end = data.index(b"\0", at)
            key, at = key + data[at:end].decode(), end + 1
        if pointer & 0x20000000:
            first, last = data[at], data[at + 1]
            children = struct.unpack_from(f">{last - first + 1}I", data, at + 2)
            stack += [(child, key + chr(first + n)) for n, child in enumerate(children) if child]
            at += 2 + 4 * len(children)
        if pointer & 0x40000000:
            (count,) = struct.unpack_from(">I", data, at)
            at += 4
            for _ in range(count):
                (priority,) = struct.unpack_from(">I", data, at)
                end = data.index(b"\0", at + 4)
                found.setdefault(key, []).append((priority, data[at + 4 : end].decode()))
                at = end + 1
    return found


@pytest.mark.parametrize("index", HOST, ids=lambda path: path.parent.name)
def test_a_real_kernels_indexes_come_out_byte_for_byte(index: Path) -> None:
    folder = index.parent
    if not (folder / "modules.dep.bin").exists():
        pytest.skip("this kernel has no indexes")
    texts = {name: (folder / name).read_text() for name in modindex.TEXTS}
    rendered = modindex.render(modindex.parse(texts))
    assert set(rendered) == set(modindex.FILES)
    assert [name for name, data in rendered.items() if (folder / name).read_bytes() != data] == []


@pytest.mark.skipif(not HOST or shutil.which("depmod") is None, reason="needs a kernel and depmod")
def test_some_of_a_real_kernels_modules_as_depmod_would_index_them(tmp_path: Path) -> None:
    release = HOST[-1].parent.name
    source, target = HOST[-1].parent, tmp_path / "lib/modules" / release
    texts = {name: (source / name).read_text() for name in modindex.TEXTS}
    whole = modindex.parse(texts)
    some = {name: whole.paths[name] for name in whole.closure(list(whole.paths)[::40])}
    for path in (*some.values(), "modules.order", "modules.builtin"):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / path, target / path)
    subprocess.run(["depmod", "-a", "-b", tmp_path, release], check=True, capture_output=True)
    rendered = modindex.render(whole.only(some))
    same = [name for name in modindex.FILES if not name.startswith("modules.dep")]
    assert [name for name in same if (target / name).read_bytes() != rendered[name]] == []
    # which of two modules that do not need each other comes first is open
    ours, real = (
        modindex.parse({"modules.dep": rendered["modules.dep"].decode()}),
        modindex.parse({"modules.dep": (target / "modules.dep").read_text()}),
    )
    assert list(ours.paths.items()) == list(real.paths.items())
    for module, needs in ours.needs.items():
        assert sorted(needs) == sorted(real.needs[module])
        for place, need in enumerate(needs):
            assert set(ours.needs[need]) <= set(needs[place + 1 :]), f"{module}: {need} too late"
    (target / "modules.dep").write_bytes(rendered["modules.dep"])
    (target / "modules.dep.bin").write_bytes(rendered["modules.dep.bin"])
    if shutil.which("modprobe") is not None:
        for module in some:
            argv = ["modprobe", "-S", release, "-d", str(tmp_path), "--show-depends", module]
            shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
            assert some[module] in shown


def test_closure_follows_modules_dep_and_what_comes_before_by_softdep() -> None:
    index = modindex.parse(TEXTS)
    assert index.hard_closure(["nvme"]) == ("t10_pi", "crc_t10dif", "nvme", "nvme_core")
    assert index.closure(["nvme"]) == ("t10_pi", "crc_t10dif", "crct10dif_pclmul", "nvme", "nvme_core")
    assert index.closure(["ext4", "no-such"]) == ("ext4",)
    assert index.soft_needs("crc_t10dif") == ("crypto-crct10dif", "unknown")


def test_some_modules_under_other_names() -> None:
    paths = {"nvme": "kernel/nvme.ko", "nvme_core": "kernel/nvme-core.ko", "stranger": "x.ko"}
    rendered = modindex.render(modindex.parse(TEXTS).only(paths))
    assert rendered["modules.dep"] == b"kernel/nvme.ko: kernel/nvme-core.ko\nkernel/nvme-core.ko:\n"
    assert rendered["modules.alias"].split(b"\n")[1:] == [b"alias pci:v0000144Dd*sv*sd*bc*sc*i* nvme", b""]
    assert read_trie(rendered["modules.dep.bin"]) == {
        "nvme": [(0, "kernel/nvme.ko: kernel/nvme-core.ko")],
        "nvme_core": [(1, "kernel/nvme-core.ko:")],
    }
    assert rendered["modules.devname"] == b""


def test_indexes_join_and_the_first_one_counts() -> None:
    old = modindex.parse({"modules.dep": "kernel/nvme.ko: a.ko\nextra/own.ko: kernel/nvme.ko\n"})
    joined = modindex.parse(TEXTS).joined(old)
    assert joined.paths["nvme"].endswith("host/nvme.ko.xz")
    assert (joined.paths["own"], joined.needs["own"]) == ("extra/own.ko", ("nvme",))


def test_whole_paths_of_old_indexes() -> None:
    text = "/lib/modules/2.6.18/kernel/xen-vbd.ko: /lib/modules/2.6.18/kernel/xen-platform-pci.ko\n"
    index = modindex.parse({"modules.dep": text}, "/lib/modules/2.6.18")
    assert index.paths == {"xen_vbd": "kernel/xen-vbd.ko"}
    assert index.needs == {"xen_vbd": ("xen_platform_pci",)}


KEYS = st.text("ab-:", min_size=0, max_size=6)


@settings(max_examples=200, derandomize=True)
@given(st.lists(st.tuples(KEYS, st.text("xyz", max_size=3), st.integers(0, 5)), max_size=12))
def test_what_is_put_into_a_trie_is_found_by_priority(rows: list[tuple[str, str, int]]) -> None:
    found = read_trie(modindex.write_trie(rows))
    assert set(found) == {key for key, _, _ in rows}
    for key, values in found.items():
        assert [p for p, _ in values] == sorted(p for k, _, p in rows if k == key)
        assert sorted(values) == sorted((p, v) for k, v, p in rows if k == key)


def test_hostile_names_are_refused_and_deep_tries_are_no_recursion() -> None:
    deep = [("a" * length, "v", 0) for length in range(1, 3000)]
    assert len(read_trie(modindex.write_trie(deep))) == 2999
    for key in ("é", "a\0b", "a" * 5000):
        with pytest.raises(FormatError):
            modindex.write_trie([(key, "v", 0)])


def test_aliases_are_normalized_but_inside_brackets() -> None:
    assert modindex.normalize_alias("a-b[0-9]-c[x-y]-") == "a_b[0-9]_c[x-y]_"
