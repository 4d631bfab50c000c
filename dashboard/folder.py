"""Reads the folder of a finished run: result.json and the curves beside it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.results import SCHEMA

# The tables that the report draws.
CURVES = ("trace", "decay", "flid", "coincidences", "dwell")


class ReportError(ValueError):
    """A folder that no report can be made of; the text names the folder or file and what is wrong with it."""


@dataclass(frozen=True)
class Curve:
    """One table of the folder: columns of equal length (float64, NaN where a cell is empty) with their units."""

    columns: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return max((len(values) for values in self.columns.values()), default=0)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """The column ``name``; all NaN where the table has none."""
        return self.columns[name] if name in self.columns else np.full(self.rows, np.nan)


@dataclass(frozen=True)
class RunFolder:
    """A finished run: the content of result.json, and the curves by the name of their file without ending."""

    path: Path
    summary: Mapping[str, Any]
    curves: Mapping[str, Curve]

    def curve(self, name: str) -> Curve:
        """The curve ``name``; an empty one where the folder has no such file."""
        return self.curves.get(name, Curve())

    def section(self, name: str) -> Mapping[str, Any]:
        """The object ``name`` of result.json; an empty one where it is missing or not an object."""
        value = self.summary.get(name)
        return value if isinstance(value, Mapping) else {}


def read_folder(path: Path) -> RunFolder:
    """Read the folder ``path``; missing curves are left out.

    Raises ReportError where there is no folder or no result.json, or a file in it cannot be understood.
    """
    if not path.is_dir():
        raise ReportError(f"{path}: there is no such folder")
    summary = _read_summary(path / "result.json")
    files = {name: path / f"{name}.csv" for name in CURVES}
    return RunFolder(path, summary, {name: read_curve(file) for name, file in files.items() if file.exists()})


def _read_summary(file: Path) -> Mapping[str, Any]:
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ReportError(f"{file.parent}: no result.json in it, so this is no finished run") from None
    except OSError as error:
        raise ReportError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ReportError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(summary, Mapping):
        raise ReportError(f"{file}: not an object, so not the result of a run")
    if summary.get("schema", SCHEMA) != SCHEMA:
        raise ReportError(f"{file}: written with schema {summary['schema']!r}; this version reads {SCHEMA}")
    return summary


def read_curve(file: Path) -> Curve:
    """Read a table: one row of names, one of units, then numbers; an empty cell is NaN.

    Raises ReportError where it is not such a table.
    """
    try:
        with file.open(encoding="utf-8") as lines, warnings.catch_warnings():
            names = next(lines, "").strip().split(",")
            units = next(lines, "").rstrip("\n").split(",")
            # A table without rows is legal; numpy warns of it.
            warnings.filterwarnings(
                "ignore", message="loadtxt: input contained no data", category=UserWarning
            )
            table = np.loadtxt(_filled(lines), delimiter=",", ndmin=2, dtype=np.float64, comments=None)
    except OSError as error:
        raise ReportError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ReportError(f"{file}: not a table of numbers: {error}") from error
    if not table.size:
        table = np.empty((0, len(names)))
    if table.shape[1] != len(names):
        raise ReportError(f"{file}: {len(names)} names, but rows of {table.shape[1]} cells")
    columns = {name: np.ascontiguousarray(table[:, k]) for k, name in enumerate(names) if name}
    return Curve(columns, dict(zip(names, units, strict=False)))


def _filled(lines: Iterable[str]) -> Iterator[str]:
    """The lines with ``nan`` in their empty cells."""
    for line in lines:
        if ",," in line or line.startswith(",") or line.endswith((",\n", ",")):
            yield ",".join(cell.strip() or "nan" for cell in line.split(","))
        else:
            yield line
