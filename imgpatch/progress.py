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
WIPE = "\r\x1b[K"
NO_WRAP, WRAP = "\x1b[?7l", "\x1b[?7h"
"""A line longer than the terminal is wide is cut there: of one that wrapped, only the end could be wiped."""


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
    """One line on a terminal, drawn over itself and wiped when the step ends.

    A thread draws it, since a step may hang in one call for seconds and tell nothing meanwhile.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._done: float | None = None
        self._ended = threading.Event()
        self._drawing: threading.Thread | None = None

    def step(self, text: str) -> None:
        self.close()
        self._done = None
        self._ended = threading.Event()
        self._drawing = threading.Thread(target=self._draw_on, args=(text, self._ended), daemon=True)
        self._drawing.start()

    def fraction(self, done: float) -> None:
        self._done = max(0.0, min(1.0, done))

    def close(self) -> None:
        self._ended.set()
        if self._drawing is not None:
            self._drawing.join()
        self._drawing = None

    def _draw_on(self, text: str, ended: threading.Event) -> None:
        start = time.monotonic()
        wait = SHOW_AFTER
        while not ended.wait(wait):
            self._draw(text, time.monotonic() - start)
            wait = REDRAW_AFTER
        if wait != SHOW_AFTER:
            self._write(WIPE)

    def _draw(self, text: str, seconds: float) -> None:
        done = self._done
        full = round((done or 0.0) * WIDTH)
        bar = "" if done is None else f"[{'#' * full}{'-' * (WIDTH - full)}] "
        self._write(f"{WIPE}{NO_WRAP}{bar}{seconds:.0f} s  {text}{WRAP}")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that has gone must not end the work
            self._stream.write(text)
            self._stream.flush()


def for_stream(stream: TextIO, *, verbose: bool) -> Progress:
    """Lines where asked for, a bar on a terminal, nothing elsewhere."""
    if verbose:
        return Lines(stream)
    return Bar(stream) if stream.isatty() else Silent()


def on_stderr(*, verbose: bool) -> Progress:
    return for_stream(sys.stderr, verbose=verbose)
