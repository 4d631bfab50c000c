"""Pieces of HTML. Whatever comes in as text is escaped; a file's comment can hold anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

# A longer text is cut on the page; it stands in full in result.json.
LONGEST_TEXT = 1000


@dataclass(frozen=True)
class Row:
    """One quantity: its name, its value as text, its 95 % interval, and a remark in small type."""

    label: str
    value: str
    interval: str = ""
    remark: str = ""


def text(value: object) -> str:
    """``value`` as escaped text, cut where it is very long."""
    whole = str(value)
    if len(whole) > LONGEST_TEXT:
        whole = f"{whole[:LONGEST_TEXT]} … ({len(whole) - LONGEST_TEXT:,} more characters in result.json)"
    return escape(whole)


def rows_table(rows: Iterable[Row], *, intervals: str = "") -> str:
    """A table of quantities; with ``intervals``, the head of a third column, also their 95 % intervals."""
    head = (
        '<thead><tr><th scope="col">quantity</th><th scope="col">value ± σ</th>'
        f'<th scope="col">{text(intervals)}</th></tr></thead>'
        if intervals
        else ""
    )
    body = "".join(_row(row, bool(intervals)) for row in rows)
    return f'<table class="rows">{head}<tbody>{body}</tbody></table>'


def _row(row: Row, intervals: bool) -> str:
    remark = f"<small>{text(row.remark)}</small>" if row.remark else ""
    third = _cell(row.interval) if intervals else ""
    return f'<tr><th scope="row">{text(row.label)}{remark}</th>{_cell(row.value)}{third}</tr>'


def _cell(value: object) -> str:
    """A cell; a figure with its unit, whose spaces do not break, is not broken within its words either."""
    whole = str(value)
    figure = "\u00a0" in whole and " " not in whole
    return f'<td class="figure">{text(whole)}</td>' if figure else f"<td>{text(whole)}</td>"


def grid_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a head; numbers stand to the right but in the first column."""
    cells = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<table class="grid"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'


def items(sentences: Iterable[object]) -> str:
    """A list of sentences, nothing where there are none."""
    inside = "".join(f"<li>{text(sentence)}</li>" for sentence in sentences)
    return f"<ul>{inside}</ul>" if inside else ""


def section(title: str, *parts: str, kind: str = "") -> str:
    """A block with a heading, nothing where it would be empty; ``kind``: a name by which it is styled."""
    inside = "".join(parts)
    of_kind = f' class="{kind}"' if kind else ""
    return f"<section{of_kind}><h2>{text(title)}</h2>{inside}</section>" if inside else ""
