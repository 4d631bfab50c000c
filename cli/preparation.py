"""What a command has to have ready before photons come."""

from __future__ import annotations

from photonstream.cli.interrupts import Interrupts
from photonstream.cli.progress import ProgressLine
from photonstream.nodes.compiled import kernels_are_kept


def prepare(line: ProgressLine, interrupts: Interrupts | None = None, *, live: bool = False) -> None:
    """Compile the kernels where that has not been done yet; before a ``live`` run load them, too.

    Nothing has begun: Ctrl-C ends the command.
    """
    kept = kernels_are_kept()
    if kept and not live:
        return
    if not kept:
        line.announce("preparing (first time only): compiling the kernels takes half a minute")
    if interrupts is not None:
        interrupts.call(_end)
    from photonstream.nodes.warm_up import warm_up

    warm_up()
    line.clear()


def _end() -> None:
    raise KeyboardInterrupt
