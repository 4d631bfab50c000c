"""The instrument response as a person gives it: figures, a recording of it, or two columns of text."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.inference.decay_data import Irf
from photonstream.nodes.inference.irf import Circumstances, GaussianIrf, MeasuredIrf, measured_irf
from photonstream.nodes.inference.rows import WINDOW
from photonstream.nodes.inference.tail import FittedTail, TailedIrf
from photonstream.nodes.instrument_files import is_stored, read_stored
from photonstream.nodes.pipeline import photon_path
from photonstream.nodes.recording import describe_recording
from photonstream.nodes.trace import assemble
from photonstream.stream.node import ParameterError
from photonstream.stream.runner import InlineRunner

# A full width, the share of the tail and its time, such as 0.1ns+10%@0.3ns; the word for a tail that is fitted.
_NUMBER = r"(\d+\.?\d*|\.\d+)"
_WIDTH = re.compile(rf"{_NUMBER}\s*(ps|ns)")
_TAILED = re.compile(rf"{_NUMBER}\s*(ps|ns)\s*\+\s*{_NUMBER}\s*%\s*@\s*{_NUMBER}\s*(ps|ns)")
_SECONDS = {"ps": 1e-12, "ns": 1e-9}
FITTED_TAIL = "tail"


def load_irf(given: str | float) -> Irf:
    """The IRF that is given: a full width in seconds, or with ps or ns; one with a tail; "tail" to fit one; a file.

    With a tail: ``WIDTH+SHARE%@TIME`` in ps or ns (`tail`). A file that bears such a name is given as ./NAME.
    A file is a tag file, whose photons per channel and dtime are the response of the channel of that number, or
    text in two columns, time in ns and counts, the response of every channel. Background is removed; a recorded
    channel with hardly a photon, or nothing but background, has no response (`measured_irf`). What `photonstream irf`
    has stored is taken as it is.
    Raises ParameterError naming what is wrong.
    """
    width = None if isinstance(given, int | float) else _WIDTH.fullmatch(given.strip())
    if width is not None:
        given = float(width[1]) * _SECONDS[width[2]]
    if isinstance(given, int | float):
        try:
            return GaussianIrf(float(given))
        except ValueError as error:
            raise ParameterError(f"IRF: {error}") from error
    if given == FITTED_TAIL:
        return FittedTail()
    if tailed := _TAILED.fullmatch(given.strip()):
        try:
            return TailedIrf(
                float(tailed[1]) * _SECONDS[tailed[2]],
                0.01 * float(tailed[3]),
                float(tailed[4]) * _SECONDS[tailed[5]],
            )
        except ValueError as error:
            raise ParameterError(f"IRF {given}: {error}") from error
    return _from_file(*_as_it_is(Path(given)))


def irf_checksum(given: str | float | None) -> str | None:
    """SHA-256 of the file that `load_irf` takes for ``given``; None where that is none, or cannot be read."""
    if not isinstance(given, str) or given == FITTED_TAIL:
        return None
    if _WIDTH.fullmatch(given.strip()) or _TAILED.fullmatch(given.strip()):
        return None
    return _sha256(*_as_it_is(Path(given)))


def _as_it_is(path: Path) -> tuple[Path, int, int]:
    """A file with the time of its last change and its size, by which one that changed is told from what it was."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return path, 0, 0
    return path, about.st_mtime_ns, about.st_size


@lru_cache(maxsize=4)
def _sha256(path: Path, _changed_ns: int, _bytes: int) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=4)
def _from_file(path: Path, _changed_ns: int, _bytes: int) -> GaussianIrf | MeasuredIrf:
    """The response in a file; kept, because a run that is told new parameters asks for it again."""
    try:
        open_tag_file(path)
    except TagFileError as error:
        if error.offset or not path.is_file() or not path.stat().st_size:
            raise ParameterError(
                "the IRF is a full width with its unit, such as 0.1ns, one with a tail, such as 0.1ns+10%@0.3ns, "
                f"the word tail, or a file; {error}"
            ) from error
        if is_stored(path):
            return read_stored(path)
        return _measured(path, *read_text(path))
    return _from_tags(path)


def _from_tags(path: Path) -> MeasuredIrf:
    """All photons of a tag file, by channel and dtime."""
    read = read_tags(path)
    rows, recording = read["rows"], read["recording"]
    if rows["pulse_period_s"] is None or not rows["counts"].any():
        raise ParameterError(f"{path}: this recording holds no delays after laser pulses, so no IRF")
    measured = _measured(path, rows["counts"].sum(axis=0), rows["resolution_s"], rows["channels"].tolist())
    photons, measured_s = recording["photons_per_channel"], recording["measured_s"]
    rates_hz = {int(channel): count / measured_s for channel, count in photons.items() if measured_s}
    taken = Circumstances(rows["pulse_period_s"], rows["resolution_s"], rates_hz=rates_hz)
    return dataclasses.replace(measured, taken=taken)


def read_tags(path: Path, bin_s: float | None = None) -> dict[str, Any]:
    """A whole tag file: ``recording`` (docs/schema.md), ``settings``, decay ``rows``, ``trace`` in bins of bin_s."""
    everything: dict[str, dict[str, Any]] = {
        "states": {"on": (0.0, float("inf")), "method": WINDOW},
        "source": {"path": str(path)},
    }
    if bin_s is not None:
        everything["intensity"] = {"bin_s": bin_s}
    results = InlineRunner(photon_path(everything)).run().results
    header = results["source", "recording"].value
    return {
        "recording": describe_recording(header, results["decode", "counts"].value),
        "settings": header["settings"],
        "rows": results["decay", "rows"].value,
        "trace": assemble(
            {key: result.value for (node, key), result in results.items() if node == "intensity"}
        ),
    }


def read_text(path: Path) -> tuple[NDArray[np.float64], float]:
    """Two columns, time in ns and counts, separated by white space, commas or semicolons; other lines are headers.

    Returns the counts and the width of their bins in seconds. Raises ParameterError naming what is wrong.
    """
    rows: list[list[float]] = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        cells = re.split(r"[,;\s]+", line.strip())
        try:
            values = [float(cell) for cell in cells if cell]
        except ValueError:
            if rows:
                raise ParameterError(
                    f"{path}: line {number} is not two numbers: {line.strip()[:60]!r}"
                ) from None
            continue
        if len(values) >= 2:
            rows.append(values[:2])
    if len(rows) < 8:
        raise ParameterError(f"{path}: neither a tag file nor at least 8 lines of time in ns and counts")
    time_ns, counts = np.array(rows).T
    steps = np.diff(time_ns)
    if not steps[0] > 0 or np.max(np.abs(steps - steps.mean())) > 0.01 * steps.mean():
        raise ParameterError(f"{path}: the times of an IRF must rise in equal steps (in ns)")
    return counts, float(steps.mean()) * 1e-9


def _measured(
    path: Path, histogram: NDArray[Any], bin_width_s: float, channels: Sequence[int] = ()
) -> MeasuredIrf:
    try:
        return measured_irf(histogram, bin_width_s, channels)
    except ValueError as error:
        raise ParameterError(f"{path}: {error}") from error
