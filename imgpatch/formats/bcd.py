"""The boot configuration data of Windows Vista and later: objects with elements, in a registry hive.

Numbers and their names are Microsoft's (bcdedit(1), `BcdLibrary_*`, `BcdOSLoader_*`): the first hexadecimal
digit is the class an element belongs to, the second its form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from imgpatch.formats.registry import Key, Value

BOOT_MANAGER = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
EMS_SETTINGS = "{0ce4991b-e6b3-4b16-b23c-5e0d9250e5d9}"

OS_LOADER = 0x10200003

BOOT_EMS = 0x16000020
"""Boolean: the boot programs speak over the serial port."""
EMS = 0x260000B0
"""Boolean: the kernel does (Emergency Management Services)."""
EMS_PORT = 0x15000022
EMS_BAUD_RATE = 0x15000023
DEFAULT = 0x23000003
DISPLAY_ORDER = 0x24000001
TIMEOUT = 0x25000004
DESCRIPTION = 0x12000004
PATH = 0x12000002
SAFE_BOOT = 0x25000080
SAFE_BOOT_SHELL = 0x26000081
HYPERVISOR_LAUNCH = 0x250000F0
KERNEL_DEBUG = 0x260000A0
TEST_SIGNING = 0x16000049


@dataclass(frozen=True, slots=True)
class Element:
    """One setting of an object.

    Attributes:
        path: the registry key that holds it, in the store's own spelling.
    """

    number: int
    path: str
    value: Value

    @property
    def is_on(self) -> bool:
        return self.value.number != 0


@dataclass(frozen=True, slots=True)
class BootObject:
    """A boot program, an operating system's entry, or settings that others inherit.

    Attributes:
        guid: lower case, in braces.
        type: 0x10200003 for the entry of a Windows, ...
    """

    guid: str
    type: int
    path: str
    elements: Mapping[int, Element]

    def text(self, number: int) -> str | None:
        element = self.elements.get(number)
        return None if element is None else element.value.text


@dataclass(frozen=True, slots=True)
class Store:
    """A whole store; `{bootmgr}` may be missing in one of installation media."""

    objects: Mapping[str, BootObject]

    @property
    def manager(self) -> BootObject | None:
        return self.objects.get(BOOT_MANAGER)

    @property
    def loaders(self) -> tuple[BootObject, ...]:
        """The entries of operating systems, those of the menu first and in its order."""
        loaders = {guid: found for guid, found in self.objects.items() if found.type == OS_LOADER}
        order = [guid for guid in self.menu if guid in loaders]
        return tuple(loaders[guid] for guid in (*order, *(g for g in loaders if g not in order)))

    @property
    def menu(self) -> tuple[str, ...]:
        element = None if self.manager is None else self.manager.elements.get(DISPLAY_ORDER)
        return () if element is None else tuple(guid.lower() for guid in element.value.texts)

    @property
    def default(self) -> BootObject | None:
        guid = None if self.manager is None else self.manager.text(DEFAULT)
        return self.objects.get((guid or "").lower())

    @property
    def timeout(self) -> int | None:
        """Seconds that the menu waits; None where the store does not say."""
        element = None if self.manager is None else self.manager.elements.get(TIMEOUT)
        return None if element is None else element.value.number

    def switched_on(self, *numbers: int) -> Iterator[Element]:
        """The elements of these numbers that are on, over all objects."""
        for found in self.objects.values():
            yield from (e for n in numbers if (e := found.elements.get(n)) is not None and e.is_on)


def read(root: Key) -> Store:
    """The store in a hive; an empty one where the hive holds none."""
    objects = root.at("Objects")
    found = {} if objects is None else {guid: _object(guid, key) for guid, key in objects.subkeys.items()}
    return Store(found)


def _object(guid: str, key: Key) -> BootObject:
    description = key.at("Description")
    kind = None if description is None else description.value("Type")
    elements = key.at("Elements")
    rows = (_element(k) for k in elements.subkeys.values()) if elements is not None else ()
    known = {row.number: row for row in rows if row is not None}
    return BootObject(guid, kind.number if kind is not None else 0, key.path, known)


def _element(key: Key) -> Element | None:
    value = key.value("Element")
    if value is None or not re.fullmatch(r"[0-9a-fA-F]{8}", key.name):
        return None
    return Element(int(key.name, 16), key.path, value)
