"""Runs commands of imgpatch one after the other, each in a process of its own; Python starts once for all.

    python -m tests.launcher < requests > answers

A request is a line of JSON: `arguments`, `out` and `err` (files), `memory` (bytes of address space) and
`seconds`. The answer is one, too: `code` (negative: the signal that ended it), `seconds`, `memory` (bytes at
most in use, of the programs it started as well). What is traced of a request stands between two attempts to
open `MARK`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from imgpatch.cli import main

MARK = "/hostile-request"


def run(request: dict[str, Any]) -> int:
    """In the child: what the console script does, within limits."""
    for stream, name in ((1, request["out"]), (2, request["err"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_AS, (request["memory"],) * 2)
    signal.alarm(request["seconds"])
    try:
        return main(request["arguments"])
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def serve() -> None:
    for line in sys.stdin:
        _mark()
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = run(json.loads(line))
            finally:
                os._exit(code)
        _, status, usage = os.wait4(pid, 0)
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "seconds": time.monotonic() - start,
            "memory": usage.ru_maxrss * 1024,
        }
        _mark()
        print(json.dumps(answer), flush=True)


def _mark() -> None:
    with suppress(OSError):
        os.close(os.open(MARK, os.O_RDONLY))


if __name__ == "__main__":
    serve()
