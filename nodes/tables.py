"""Curves as files that other programs open: CSV, tab-separated for Origin, Igor text waves."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """One quantity of a table: its name, its unit ("" where it has none), one value a row."""

    name: str
    unit: str
    values: NDArray[Any]


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` so that ``path`` always holds either the old file or the whole new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        # mkstemp makes files only their owner may read; a result is for the whole group.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _rows(columns: Sequence[Column], delimiter: str) -> str:
    """The values as text: whole numbers as they are, others with ten significant digits, nothing for NaN."""
    formats = ["%d" if np.issubdtype(c.values.dtype, np.integer) else "%.10g" for c in columns]
    out = io.StringIO()
    if columns and len(columns[0].values):
        np.savetxt(out, np.rec.fromarrays([c.values for c in columns]), fmt=delimiter.join(formats))
    return re.sub(r"\bnan\b", "", out.getvalue())


def _separated(columns: Sequence[Column], delimiter: str) -> str:
    head = [delimiter.join(c.name for c in columns), delimiter.join(c.unit for c in columns)]
    return "\n".join(head) + "\n" + _rows(columns, delimiter)


def csv_text(title: str, columns: Sequence[Column]) -> str:
    """One header row of names, one of units, then the values."""
    return _separated(columns, ",")


def origin_text(title: str, columns: Sequence[Column]) -> str:
    """The same with tabs: Origin takes the first row as long names and the second as units."""
    return _separated(columns, "\t")


def igor_text(title: str, columns: Sequence[Column]) -> str:
    """Igor text: one wave a column, named ``title_column``, with its unit."""
    waves = [re.sub(r"\W", "_", f"{title}_{c.name}")[:255] for c in columns]
    values = _rows(columns, "\t")
    # Igor wants a word where there is no number, and a tab at the beginning of each row.
    body = "".join(
        "\t" + "\t".join(cell or "NaN" for cell in line.split("\t")) + "\n" for line in values.splitlines()
    )
    units = "".join(
        f'X SetScale d 0,0,"{c.unit}", {wave}\n' for c, wave in zip(columns, waves, strict=True) if c.unit
    )
    return f"IGOR\nWAVES/D {', '.join(waves)}\nBEGIN\n{body}END\n{units}"


EXPORTS: dict[str, tuple[str, Callable[[str, Sequence[Column]], str]]] = {
    "csv": (".csv", csv_text),
    "origin": (".txt", origin_text),
    "igor": (".itx", igor_text),
}
