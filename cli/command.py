"""Where the command begins: before anything is imported, which takes a while, Ctrl-C has its answer."""

from __future__ import annotations

import os
import signal

# What a shell gives a command that was ended by Ctrl-C.
ABORTED = 130


def main() -> int:
    """Run the command of the terminal and return its exit code."""
    # Where it is ignored, as behind nohup, it stays so.
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, _end)
    from photonstream.cli import main as command

    try:
        return command.main(begun=hear)
    finally:
        if heeded:
            # Nothing is left to be ended.
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def hear() -> None:
    """All is imported: from now on Ctrl-C is for the command that runs."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(signum: int, frame: object) -> None:
    # An exception could get lost in whatever is imported at this moment; nothing is open yet.
    os.write(2, b"photonstream: ended at once\n")
    os._exit(ABORTED)
