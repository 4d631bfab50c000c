"""The figures as text."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Cost

GROUPS = ("", "work alone", "", "", "", "", "", "whole process", "", "", "", "")
HEADER = (
    "decode + 10 ms trace + decay histogram",
    *("wall s", "CPU s", "M/s wall", "M/s CPU", "x wall", "x CPU"),
    *("wall s", "CPU s", "x wall", "peak MB"),
    "trace and decay beside ours",
)

# A reader that loses a larger share of the photons has not done the work (an open last bin is less).
MOST_MISSING = 0.01


@dataclass(frozen=True)
class Row:
    """One contestant: its median cost, or why it has none; ``reader`` is that of others.

    ``complete``: the work was done, so its time is one to compare with.
    """

    name: str
    cost: Cost | None
    check: str
    complete: bool
    reader: bool
    version: str = ""


def main_table(rows: Sequence[Row], photons: int) -> str:
    """The contest: each beside the fastest reader of others, above 1 is faster than it."""
    others = [row.cost for row in rows if row.reader and row.complete and row.cost]
    best_wall = min((c.work_wall_s for c in others if c.work_wall_s), default=None)
    best_cpu = min((c.work_cpu_s for c in others if c.work_cpu_s), default=None)
    best_process = min((c.wall_s for c in others), default=None)
    lines: list[Sequence[str]] = [GROUPS, HEADER]
    for row in rows:
        cost = row.cost
        if cost is None:
            lines.append([row.name, *["-"] * 10, row.check])
            continue
        lines.append(
            [
                row.name,
                _figure(cost.work_wall_s),
                _figure(cost.work_cpu_s),
                _rate(photons, cost.work_wall_s),
                _rate(photons, cost.work_cpu_s),
                _ratio(best_wall, cost.work_wall_s),
                _ratio(best_cpu, cost.work_cpu_s),
                _figure(cost.wall_s),
                _figure(cost.cpu_s),
                _ratio(best_process, cost.wall_s),
                f"{cost.peak_bytes / 1e6:.0f}",
                row.check,
            ]
        )
    return align(lines)


def memory_table(peaks: Mapping[str, Sequence[tuple[int, Cost]]]) -> str:
    """Peak memory of our own stages by length of the file."""
    lengths = [photons for photons, _ in next(iter(peaks.values()))]
    lines = [["peak MB by photons", *(f"{photons / 1e6:.0f} M" for photons in lengths)]]
    for name, costs in peaks.items():
        lines.append([name, *(f"{cost.peak_bytes / 1e6:.0f}" for _, cost in costs)])
    return align(lines)


def align(lines: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the first and the last one to the left, figures to the right."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if k in (0, len(line) - 1) else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def check(folder: Path, reference: Path, photons: int) -> tuple[str, bool]:
    """Whether the curves of a contestant are those of ``reference``, in words, and whether its work counts."""
    found = {title: _compare(title, folder, reference, photons) for title in ("trace", "decay")}
    text = "; ".join(f"{title} {words}" for title, (words, _) in found.items())
    return text, all(complete for _, complete in found.values())


def _compare(title: str, folder: Path, reference: Path, photons: int) -> tuple[str, bool]:
    got, true = _counts(folder / f"{title}.bin"), _counts(reference / f"{title}.bin")
    if sum(true) != photons:
        raise SystemExit(f"our own {title} holds {sum(true)} of {photons} photons")
    if got == true:
        return "equal", True
    missing = photons - sum(got)
    complete = abs(missing) <= MOST_MISSING * photons
    if complete and got == true[: len(got)]:
        return f"equal but for its end ({missing} photons)", True
    length = max(len(got), len(true))
    got += [0] * (length - len(got))
    true += [0] * (length - len(true))
    differ = sum(a != b for a, b in zip(got, true, strict=True))
    return f"misses {missing} photons, {differ} of {length} bins differ", complete


def _counts(path: Path) -> list[int]:
    """Counts of a curve without the empty bins behind it."""
    values = array("q")
    values.frombytes(path.read_bytes())
    counts = values.tolist()
    while counts and counts[-1] == 0:
        counts.pop()
    return counts


def _figure(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f}"


def _rate(photons: int, seconds: float | None) -> str:
    return "-" if not seconds else f"{photons / seconds / 1e6:.0f}"


def _ratio(best: float | None, seconds: float | None) -> str:
    return "-" if not seconds or best is None else f"{best / seconds:.2f}"
