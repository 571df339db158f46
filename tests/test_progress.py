"""Progress: drawn on a terminal only, and wiped; each step with its seconds where asked for."""

from __future__ import annotations

import io
import os
import re
import time

import pytest

from imgpatch import progress
from imgpatch.progress import Bar, Lines, Silent, for_stream

CONTROL = re.compile(r"\x1b\[\?7[hl]")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SHOW_AFTER", 0.05)
    monkeypatch.setattr(progress, "REDRAW_AFTER", 0.01)


def drawn(stream: io.StringIO) -> list[str]:
    """What the line showed, one after the other; the last is what is left of it."""
    return CONTROL.sub("", stream.getvalue()).split("\r\x1b[K")


def wait_until_drawn(stream: io.StringIO, text: str) -> None:
    until = time.monotonic() + 5
    while text not in stream.getvalue():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_short_step_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SHOW_AFTER", 60.0)
    stream = io.StringIO()
    bar = Bar(stream)
    bar.step("looking")
    bar.fraction(0.5)
    bar.step("planning")
    bar.close()
    assert stream.getvalue() == ""


def test_a_long_step_is_drawn_though_nothing_is_told_meanwhile() -> None:
    stream = io.StringIO()
    bar = Bar(stream)
    bar.step("finding the file systems")
    wait_until_drawn(stream, "finding")
    bar.close()
    assert drawn(stream)[1] == "0 s  finding the file systems"
    assert drawn(stream)[-1] == ""


def test_a_bar_shows_the_fraction_and_goes_with_its_step() -> None:
    stream = io.StringIO()
    bar = Bar(stream)
    bar.step("merging")
    bar.fraction(0.5)
    wait_until_drawn(stream, "merging")
    bar.fraction(7.0)
    wait_until_drawn(stream, "[########################] ")
    bar.step("next")
    wait_until_drawn(stream, "next")
    bar.close()
    lines = drawn(stream)
    assert lines[1] == "[############------------] 0 s  merging"
    assert "" in lines[1:-1]
    assert lines[-2:] == ["0 s  next", ""]


def test_bytes_and_the_time_left_are_told_where_they_are_known() -> None:
    stream = io.StringIO()
    bar = Bar(stream)
    bar.step("writing out.vmdk", 300 << 20)
    wait_until_drawn(stream, "writing")
    bar.fraction(0.01)
    wait_until_drawn(stream, "3 MiB of 300 MiB, 0 s  writing")  # too early to say how long it will take
    bar.fraction(0.5)
    wait_until_drawn(stream, "150 MiB of 300 MiB, 0 s, 0 s left  writing")
    bar.step("adding up out.vmdk", 40 << 30)
    bar.fraction(0.25)
    wait_until_drawn(stream, "10.0 GiB of 40.0 GiB, ")
    bar.close()


@pytest.mark.parametrize(
    ("done", "seconds", "said"),
    [(0.0, 60, ""), (0.01, 60, ""), (0.5, 0.01, ""), (0.5, 60, ", 60 s left"), (0.1, 60, ", 9 min left"),
     (0.999, 60, ", 0 s left"), (1.0, 60, ", 0 s left")],
)  # fmt: skip
def test_the_time_left(done: float, seconds: float, said: str) -> None:
    assert progress.time_left(done, seconds) == said


def test_nothing_is_drawn_after_the_end() -> None:
    stream = io.StringIO()
    bar = Bar(stream)
    bar.step("merging")
    wait_until_drawn(stream, "merging")
    bar.close()
    bar.close()
    shown = stream.getvalue()
    time.sleep(0.1)
    assert stream.getvalue() == shown


def test_a_terminal_that_has_gone_does_not_end_the_work() -> None:
    stream = io.StringIO()
    bar = Bar(stream)
    stream.close()
    bar.step("merging")
    time.sleep(0.1)
    bar.close()


def test_a_line_that_is_too_long_is_cut_by_the_terminal() -> None:
    stream = io.StringIO()
    bar = Bar(stream)
    bar.step("x" * 500)
    wait_until_drawn(stream, "x")
    bar.close()
    assert re.fullmatch(r"(\r\x1b\[K\x1b\[\?7l0 s  x{500}\x1b\[\?7h)+\r\x1b\[K", stream.getvalue())


def test_lines_tell_each_step_with_its_seconds() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.step("looking")
    lines.fraction(0.5)
    lines.step("planning")
    lines.close()
    lines.close()
    assert stream.getvalue() == "looking: 0.0 s\nplanning: 0.0 s\n"


def test_only_a_terminal_is_drawn_on() -> None:
    master, terminal = os.openpty()
    with os.fdopen(master), os.fdopen(terminal, "w") as stream:
        assert isinstance(for_stream(stream, verbose=False), Bar)
        assert isinstance(for_stream(stream, verbose=True), Lines)
    assert isinstance(for_stream(io.StringIO(), verbose=False), Silent)
