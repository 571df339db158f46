"""Telling a person what takes long: on stderr, and drawn only on a terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Protocol, TextIO

WIDTH = 24
SHOW_AFTER = 1.0
"""Seconds a step may take before anything is drawn."""

REDRAW_AFTER = 0.2
LEAST_KNOWN = 0.02
"""Of a step that must be done before the time left is told."""

WIPE = "\r\x1b[K"
NO_WRAP, WRAP = "\x1b[?7l", "\x1b[?7h"
"""A line longer than the terminal is wide is cut there: of one that wrapped, only the end could be wiped."""


class Progress(Protocol):
    def step(self, text: str, size: int | None = None) -> None:
        """A new step begins, and the one before it has ended; it goes through `size` bytes."""

    def fraction(self, done: float) -> None:
        """How much of the step is done, 0 to 1, where that is known."""

    def close(self) -> None:
        """The last step has ended."""


class Silent:
    """Says nothing."""

    def step(self, text: str, size: int | None = None) -> None: ...
    def fraction(self, done: float) -> None: ...
    def close(self) -> None: ...


class Lines:
    """One line a finished step with its seconds, for `-v` and for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text: str | None = None
        self._start = 0.0

    def step(self, text: str, size: int | None = None) -> None:  # noqa: ARG002  only a bar has use for it
        self.close()
        self._text, self._start = text, time.monotonic()

    def fraction(self, done: float) -> None: ...

    def close(self) -> None:
        if self._text is not None:
            print(f"{self._text}: {time.monotonic() - self._start:.1f} s", file=self._stream)
        self._text = None


class Bar:
    """One line on a terminal, drawn over itself and wiped when the step ends.

    A thread draws it, since a step may hang in one call for seconds and tell nothing meanwhile.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._done: float | None = None
        self._ended = threading.Event()
        self._drawing: threading.Thread | None = None

    def step(self, text: str, size: int | None = None) -> None:
        self.close()
        self._done = None
        self._ended = threading.Event()
        self._drawing = threading.Thread(target=self._draw_on, args=(text, size, self._ended), daemon=True)
        self._drawing.start()

    def fraction(self, done: float) -> None:
        self._done = max(0.0, min(1.0, done))

    def close(self) -> None:
        self._ended.set()
        if self._drawing is not None:
            self._drawing.join()
        self._drawing = None

    def _draw_on(self, text: str, size: int | None, ended: threading.Event) -> None:
        start = time.monotonic()
        wait = SHOW_AFTER
        while not ended.wait(wait):
            self._draw(text, size, time.monotonic() - start)
            wait = REDRAW_AFTER
        if wait != SHOW_AFTER:
            self._write(WIPE)

    def _draw(self, text: str, size: int | None, seconds: float) -> None:
        done = self._done
        full = round((done or 0.0) * WIDTH)
        bar = "" if done is None else f"[{'#' * full}{'-' * (WIDTH - full)}] "
        if done is not None and size:
            bar += f"{_amount(done * size, size)} of {_amount(size, size)}, "
        left = "" if done is None or not size else time_left(done, seconds)
        self._write(f"{WIPE}{NO_WRAP}{bar}{seconds:.0f} s{left}  {text}{WRAP}")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that has gone must not end the work
            self._stream.write(text)
            self._stream.flush()


def _amount(count: float, size: int) -> str:
    """Bytes in the unit of the whole."""
    unit, shift = ("GiB", 30) if size >= 10 << 30 else ("MiB", 20)
    return f"{count / (1 << shift):.{1 if unit == 'GiB' else 0}f} {unit}"


def time_left(done: float, seconds: float) -> str:
    """How long the rest takes if it goes on like this; nothing where that is a mere guess."""
    if done < LEAST_KNOWN or seconds < SHOW_AFTER:
        return ""
    rest = round(seconds / done * (1 - done))
    return f", {rest} s left" if rest < 120 else f", {rest // 60} min left"


def for_stream(stream: TextIO, *, verbose: bool) -> Progress:
    """Lines where asked for, a bar on a terminal, nothing elsewhere."""
    if verbose:
        return Lines(stream)
    return Bar(stream) if stream.isatty() else Silent()


def on_stderr(*, verbose: bool) -> Progress:
    return for_stream(sys.stderr, verbose=verbose)
