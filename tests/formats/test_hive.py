"""Edits of hives: exactly what was asked for, by the judgement of three readers."""

from __future__ import annotations

import pytest

from fixtures import hives
from imgpatch.errors import FormatError
from imgpatch.formats import regf, registry
from imgpatch.formats.hive import DropKey, DropValue, RegistryEdit, SetValue, edited, model
from imgpatch.formats.registry import Type, Value
from tests.hive_corpus import CORPUS, DAMAGED, HIVES, hive

TEXT = """
[ControlSet001\\Services\\atapi]
"Start"=dword:00000003
"Group"="SCSI miniport"
[ControlSet001\\Services\\atapi\\StartOverride]
"0"=dword:00000003
[ControlSet001\\Services\\disk]
"Start"=dword:00000000
"""
ATAPI = "ControlSet001\\Services\\atapi"
BOOT = SetValue(ATAPI, Value("Start", Type.DWORD, b"\0\0\0\0"))


def dword(number: int) -> Value:
    return Value("x", Type.DWORD, number.to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (BOOT, TEXT.replace('"Start"=dword:00000003', '"Start"=dword:00000000')),
        (
            SetValue(ATAPI, Value("START", Type.DWORD, b"\0\0\0\0")),
            TEXT.replace('Start"=dword:00000003', 'Start"=dword:0'),
        ),
        (
            DropKey(f"{ATAPI}\\startoverride"),
            TEXT.replace('[ControlSet001\\Services\\atapi\\StartOverride]\n"0"=dword:00000003\n', ""),
        ),
        (DropValue(ATAPI, "group"), TEXT.replace('"Group"="SCSI miniport"\n', "")),
        (SetValue("New\\Key", dword(7)), TEXT + '[New\\Key]\n"x"=dword:7\n'),
        (
            SetValue(ATAPI, Value("Список", Type.SZ, hives.wide("й"))),
            TEXT.replace('"Group"', '"Список"="й"\n"Group"'),
        ),
    ],
)
def test_one_edit(edit: RegistryEdit, wanted: str) -> None:
    after = edited(hives.build(TEXT), [edit])
    regf.check(after)
    assert model(registry.read(after)) == model(registry.read(hives.build(wanted)))
    assert edited(after, [edit]) is after


@pytest.mark.parametrize(
    "edit",
    [
        SetValue("ControlSet001\\Services\\disk", Value("Start", Type.DWORD, b"\0\0\0\0")),
        DropKey("ControlSet001\\Services\\none"),
        DropValue("ControlSet001\\Services\\disk", "none"),
    ],
)
def test_what_is_so_already_gives_the_same_bytes(edit: RegistryEdit) -> None:
    data = hives.build(TEXT)
    assert edited(data, [edit]) is data


def test_a_dirty_or_damaged_hive_never_reaches_hivex() -> None:
    data = bytearray(hives.build(TEXT))
    data[4] += 1
    with pytest.raises(FormatError, match="not clean"):
        edited(bytes(data), [BOOT])
    with pytest.raises(FormatError):
        edited(hives.build(TEXT)[:-4096] if len(hives.build(TEXT)) > 8192 else b"regf", [BOOT])


def test_a_key_with_a_long_value_is_left_alone() -> None:
    data = hives.build(TEXT.replace('"Group"', f'"big"=hex:{"00," * 20_000}00\n"Group"'))
    with pytest.raises(FormatError, match=r"20001 bytes"):
        edited(data, [BOOT])


def test_a_key_with_a_class_name_is_not_dropped() -> None:
    root = hives.parse(TEXT)
    root.at(ATAPI).klass = "secret"
    with pytest.raises(FormatError, match="class name"):
        edited(hives.build(root), [DropKey("ControlSet001\\Services")])


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the corpus of real hives")
@pytest.mark.parametrize("name", [n for n in HIVES if n not in DAMAGED])
def test_real_hives_keep_everything_else(name: str) -> None:
    data = hive(name)
    base = regf.base_block(data)
    assert base is not None
    if base.dirty:
        with pytest.raises(FormatError, match="not clean"):
            edited(data, [SetValue("ImgpatchTest", dword(1))])
        return
    after = edited(data, [SetValue("ImgpatchTest\\Below", dword(1))])
    regf.check(after)
    assert edited(after, [DropKey("ImgpatchTest")]) != after
    untouched = data[regf.HEADER : regf.HEADER + base.size]
    changed = sum(a != b for a, b in zip(untouched, after[regf.HEADER :], strict=False))
    assert changed < 2_000 + 16 * len(registry.read(data).subkeys)  # the root's list of subkeys moves
