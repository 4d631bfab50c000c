"""The result table that a run ends with: the same words and roundings as the report."""

from __future__ import annotations

import shutil
import textwrap

from photonstream.dashboard import calibration, coincidence
from photonstream.dashboard.facts import discarded, file_name, mean_rate, measured_s, notes, selection_text
from photonstream.dashboard.findings import Findings
from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row
from photonstream.dashboard.numbers import PERCENT, SECONDS, counted, number, plain_spaces, quantity
from photonstream.dashboard.opinions import second_opinion_rows
from photonstream.dashboard.systematics import systematic_rows

_LABEL_WIDTH = 50
_VALUE_WIDTH = 22


def summary_table(run: RunFolder) -> str:
    """The findings of a run as text: label, value with its error, 95 % interval, remark."""
    findings = Findings(run)
    columns = max(80, min(140, shutil.get_terminal_size().columns))
    lines = [line for row in _recording(run) for line in _line(row, columns)]
    lines += ["", findings.verdict]
    rows = [*findings.rows(), *calibration.main_rows(run), *coincidence.main_rows(run)]
    lines += [line for row in rows for line in _line(row, columns)]
    lines += [line for row in second_opinion_rows(run) for line in _line(row, columns)]
    if parts := list(systematic_rows(run)):
        lines += ["", "Beside the statistical error"]
        lines += [line for row in parts for line in _line(row, columns)]
    warnings = [*discarded(run), *findings.warnings(), *calibration.warnings(run)]
    remarks = [*(f"note: {x}" for x in notes(run)), *(f"warning: {x}" for x in warnings)]
    for remark in remarks:
        lines += textwrap.wrap(remark, columns, subsequent_indent="  ")
    return plain_spaces("\n".join(lines))


def _recording(run: RunFolder) -> list[Row]:
    recording, states = run.section("recording"), run.section("states")
    levels = states.get("levels")
    count = len(levels) if isinstance(levels, list) else 0
    time_s, on_time_s = measured_s(run), number(states.get("on_time_s"))
    share = on_time_s / time_s if time_s and on_time_s is not None else None
    return [
        Row("recording", f"{file_name(run)}, {recording.get('record_type')}"),
        Row(
            "photons",
            f"{counted(recording.get('photons'))} in {quantity(recording.get('duration_s'), SECONDS)}, "
            f"{mean_rate(run)} on average",
        ),
        Row(
            "selected state",
            f"{selection_text(run)}: {counted(states.get('on_photons'))} photons, "
            f"{quantity(share, PERCENT, 3)} of the time"
            + (" (the trace has one level)" if count == 1 and states.get("method") == "window" else ""),
        ),
    ]


def _line(row: Row, columns: int) -> list[str]:
    interval = row.interval if any(c.isdigit() for c in row.interval) else ""
    if interval and "95 %" not in interval:
        interval = f"95 %: {interval}"
    tail = "  ".join(x for x in (interval, row.remark) if x)
    head = f"{row.label:<{_LABEL_WIDTH}} {row.value}"
    if not tail:
        return [head]
    head = f"{row.label:<{_LABEL_WIDTH}} {row.value:<{_VALUE_WIDTH}}"
    if len(head) + 1 + len(tail) <= columns:
        return [f"{head} {tail}"]
    indent = " " * 4
    return [head.rstrip(), *textwrap.wrap(tail, columns, initial_indent=indent, subsequent_indent=indent)]
