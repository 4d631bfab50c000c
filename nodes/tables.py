"""Curves as files that other programs open: CSV, tab-separated for Origin, Igor text waves."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows that are text in memory at the same time: a day's trace has millions.
_ROWS_AT_ONCE = 65536


@dataclass(frozen=True)
class Column:
    """One quantity of a table: its name, its unit ("" where it has none), one value a row."""

    name: str
    unit: str
    values: NDArray[Any]


def write_atomically(path: Path, text: str | Iterable[str]) -> None:
    """Write ``text``, whole or in pieces, so that ``path`` always holds either the old file or the whole new one."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        # File names need not be Unicode; what cannot be written is escaped, as JSON does it too.
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.writelines([text] if isinstance(text, str) else text)
        # mkstemp makes files only their owner may read; a result is for the whole group.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _rows(columns: Sequence[Column], delimiter: str, empty: str = "") -> Iterator[str]:
    """The values as text, some ten thousand rows at a time.

    Whole numbers as they are, others with ten significant digits, ``empty`` for NaN.
    """
    for start in range(0, max((len(c.values) for c in columns), default=0), _ROWS_AT_ONCE):
        cells = [_cells(c.values[start : start + _ROWS_AT_ONCE], empty) for c in columns]
        yield "".join(f"{delimiter.join(row)}\n" for row in zip(*cells, strict=True))


def _cells(values: NDArray[Any], empty: str) -> list[str]:
    if np.issubdtype(values.dtype, np.integer):
        return list(map(str, values.tolist()))
    return [empty if value != value else f"{value:.10g}" for value in values.tolist()]


def _separated(columns: Sequence[Column], delimiter: str) -> Iterator[str]:
    yield delimiter.join(c.name for c in columns) + "\n"
    yield delimiter.join(c.unit for c in columns) + "\n"
    yield from _rows(columns, delimiter)


def csv_text(title: str, columns: Sequence[Column]) -> Iterator[str]:
    """One header row of names, one of units, then the values."""
    return _separated(columns, ",")


def origin_text(title: str, columns: Sequence[Column]) -> Iterator[str]:
    """The same with tabs: Origin takes the first row as long names and the second as units."""
    return _separated(columns, "\t")


def igor_text(title: str, columns: Sequence[Column]) -> Iterator[str]:
    """Igor text: one wave a column, named ``title_column``, with its unit."""
    waves = [re.sub(r"\W", "_", f"{title}_{c.name}")[:255] for c in columns]
    yield f"IGOR\nWAVES/D {', '.join(waves)}\nBEGIN\n"
    for block in _rows(columns, "\t", empty="NaN"):
        yield re.sub("^", "\t", block, flags=re.MULTILINE).removesuffix("\t")
    yield "END\n"
    for column, wave in zip(columns, waves, strict=True):
        if column.unit:
            yield f'X SetScale d 0,0,"{column.unit}", {wave}\n'


EXPORTS: dict[str, tuple[str, Callable[[str, Sequence[Column]], Iterable[str]]]] = {
    "csv": (".csv", csv_text),
    "origin": (".txt", origin_text),
    "igor": (".itx", igor_text),
}
