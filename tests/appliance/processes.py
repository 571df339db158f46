"""Programs started by a test, known by a mark that all they start inherits in the environment."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

from imgpatch.images import probe

PATIENCE = 8.0
"""Seconds: libguestfs looks every two seconds whether to end the QEMU of a process that was killed."""


class Marked:
    """Everything that runs with this environment, with a folder of its own for temporary files."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self._mark = f"IMGPATCH_TEST={uuid.uuid4()}"
        name, value = self._mark.split("=")
        cache = str(probe.probe().cache)  # else TMPDIR decides, and the appliance is built anew
        self.environment = {**os.environ, "TMPDIR": str(temporary), "LIBGUESTFS_CACHEDIR": cache, name: value}

    def running(self) -> list[str]:
        """The command lines of what still runs."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                if self._mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found

    def left(self) -> list[str]:
        """What still runs after a while."""
        until = time.monotonic() + PATIENCE
        while (found := self.running()) and time.monotonic() < until:
            time.sleep(0.1)
        return found
