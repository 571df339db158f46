"""What a guest wrote, made safe to print: a disk image is hostile, and a terminal obeys what it is sent."""

from __future__ import annotations

import unicodedata

RESET = "\x1b[0m"
BOLD, RED, GREEN, YELLOW, CYAN = (f"\x1b[{code}m" for code in (1, 31, 32, 33, 36))

# Control, format (text direction, zero width), surrogate, private and unassigned characters, and both
# separators that break lines: terminals do things with them that no reader sees.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def safe(text: str) -> str:
    r"""Guest text as one line to print; what cannot be shown is spelt out (`\x1b`, `\r`, `\u202e`).

    A byte that is not UTF-8 (`surrogateescape`) shows as `\xe9`. Tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char == "\t" or unicodedata.category(char) not in _UNSAFE else _spelt(char) for char in text
    )


def painted(text: str, colour: str, *, wanted: bool) -> str:
    """The text in a colour, if there is one and it is wanted."""
    return f"{colour}{text}{RESET}" if wanted and colour and text else text


def _spelt(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    names = {"\n": "\\n", "\r": "\\r"}
    width = 2 if code < 0x100 else 4 if code < 0x10000 else 8
    return names.get(char) or f"\\{'x' if width == 2 else 'u' if width == 4 else 'U'}{code:0{width}x}"
