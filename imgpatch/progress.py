"""Telling a person what takes long: on stderr, and drawn only on a terminal."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO

WIDTH = 24
SHOW_AFTER = 1.0
"""Seconds a step may take before anything is drawn."""


class Progress(Protocol):
    def step(self, text: str) -> None:
        """A new step begins; the one before it has ended."""

    def fraction(self, done: float) -> None:
        """How much of the step is done, 0 to 1, where that is known."""

    def close(self) -> None:
        """The last step has ended."""


class Silent:
    """Says nothing."""

    def step(self, text: str) -> None: ...
    def fraction(self, done: float) -> None: ...
    def close(self) -> None: ...


class Lines:
    """One line a finished step with its seconds, for `-v` and for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text: str | None = None
        self._start = 0.0

    def step(self, text: str) -> None:
        self.close()
        self._text, self._start = text, time.monotonic()

    def fraction(self, done: float) -> None: ...

    def close(self) -> None:
        if self._text is not None:
            print(f"{self._text}: {time.monotonic() - self._start:.1f} s", file=self._stream)
        self._text = None


class Bar:
    """One line on a terminal, drawn over itself and wiped at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._start = time.monotonic()

    def step(self, text: str) -> None:
        self.close()
        self._text, self._start = text, time.monotonic()

    def fraction(self, done: float) -> None:
        if time.monotonic() - self._start < SHOW_AFTER:
            return
        full = round(max(0.0, min(1.0, done)) * WIDTH)
        bar = "#" * full + "-" * (WIDTH - full)
        self._stream.write(f"\r\x1b[K[{bar}] {self._text}")
        self._stream.flush()

    def close(self) -> None:
        if self._text:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
        self._text = ""


def for_stream(stream: TextIO, *, verbose: bool) -> Progress:
    """Lines where asked for, a bar on a terminal, nothing elsewhere."""
    if verbose:
        return Lines(stream)
    return Bar(stream) if stream.isatty() else Silent()


def on_stderr(*, verbose: bool) -> Progress:
    return for_stream(sys.stderr, verbose=verbose)
