"""The progress of a run on a terminal and in a log."""

import errno
import io
import os
import sys

import pytest

from photonstream.cli import progress
from photonstream.cli.progress import ProgressLine, write


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_terminal_shows_one_line_with_the_time_left(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    terminal = Terminal()
    line = ProgressLine(terminal)
    # The start takes its time, and says nothing of how fast it goes after that.
    clock.now += 100.0
    line.show(0.05, "")
    assert "left" not in terminal.getvalue()
    clock.now += 8.0
    terminal.truncate(0)
    terminal.seek(0)
    line.show(0.25, "1,000 photons " + "x" * 200)
    shown = terminal.getvalue()
    assert "\n" not in shown
    assert "25%" in shown
    assert "0:30 left" in shown
    assert len(shown.removeprefix("\r\x1b[K")) == 59
    line.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_log_gets_a_line_in_five_seconds_at_most(clock):
    log = io.StringIO()
    line = ProgressLine(log)
    for _ in range(100):
        clock.now += 0.1
        line.show(None, "working")
    line.clear()
    assert log.getvalue() == "working\nworking\n" or log.getvalue() == "working\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no such terminals")
def test_a_terminal_that_was_closed_is_written_to_no_more():
    ours, its = os.openpty()
    with os.fdopen(its, "w") as stream:
        os.close(ours)
        write("nobody reads this", stream)
        write("nor this", stream)


def test_what_a_disk_says_is_no_reader_that_has_gone():
    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "no space left")

    with pytest.raises(OSError, match="no space left"):
        write("this matters", Full())
