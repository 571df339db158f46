"""A program that applies and kills itself: `python -m tests.appliance.dying STEP DELAY IMAGE [OUTPUT]`.

It prints each step as it begins. At STEP, its name or its number counted from 1, it sends itself
SIGKILL, DELAY seconds later. What it prints at the end is the digest of the plan.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from imgpatch import edition, operations
from imgpatch.images.destination import Destination
from imgpatch.plan import Choices


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """A `Progress` that kills the process at a step, or a while after it has begun."""

    def __init__(self, at: str, delay: float) -> None:
        self._at = at
        self._delay = delay
        self._number = 0

    def step(self, text: str, size: int | None = None) -> None:
        print(text, flush=True)
        self._number += 1
        if self._at not in (text, str(self._number)):
            return
        if not self._delay:
            die()
        timer = threading.Timer(self._delay, die)
        timer.daemon = True
        timer.start()

    def fraction(self, done: float) -> None: ...
    def close(self) -> None: ...


def main(step: str, delay: str, image: str, *outputs: str) -> None:
    destination = Destination(tuple(map(Path, outputs)), in_place=not outputs)
    dying = Deadly(step, float(delay))
    newest = edition.load(edition.NEWEST)
    done = operations.apply_images([Path(image)], destination, newest, Choices(), None, dying)
    print(done.plan.digest)


if __name__ == "__main__":
    main(*sys.argv[1:])
