"""What was measured of the instrument, as small files that say what they are: responses and backgrounds."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.background import pulsed_share, steadiness
from photonstream.nodes.inference.irf import Circumstances, MeasuredIrf, stretch
from photonstream.nodes.inference.response import Response, measure
from photonstream.stream.node import ParameterError

SCHEMA = 1
IRF, BACKGROUND = "photonstream irf", "photonstream background"
# No stored response has more bins; a T3 device tells at most 32768 dtimes apart.
_MOST_BINS = 1 << 20
# Narrower than so many bins, a width is that of the bins.
_FEW_BINS = 3.0
DEFINITIONS = {
    "fwhm_s": "full width at half maximum, interpolated between bins",
    "tail_share": "share of the response later than 3 FWHM/2.355 = 1.27 FWHM after the peak; a Gaussian has 0.0013",
    "skew": "third standardised moment of the response after subtraction of the background",
    "stderr": "Poisson bootstrap, 100 draws",
    "further_peaks": "delay after the main peak, and height relative to it",
}


def source_of_text(path: Path) -> dict[str, Any]:
    """The ``source`` of a response that came as text: file, checksum, time of the file; all else is not known."""
    time = datetime.datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "format": "text",
        "device": None,
        "created": time.isoformat(timespec="seconds"),
        "created_from": "file time",
        "duration_s": None,
        "sync_rate_hz": None,
        "dtime_resolution_s": None,
        "notes": [],
    }


def source_of_tags(recording: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The ``source`` of what came from a tag file; its date is the header's, else that of the file."""
    path = Path(recording["path"])
    created = recording["created"]
    time = datetime.datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    device = settings.get("HW_Type") or settings.get("HardwareIdent")
    names = ("sha256", "format", "duration_s", "measured_s", "sync_rate_hz", "dtime_resolution_s", "notes")
    return {
        "path": str(path),
        "device": device or recording["record_type"],
        "created": created or time,
        "created_from": "header" if created else "file time",
        **{name: recording[name] for name in names},
    }


def irf_content(
    source: Mapping[str, Any],
    irf: MeasuredIrf,
    histograms: Mapping[int | None, NDArray[Any]],
    *,
    pulse_period_s: float | None,
    excitation_nm: float | None,
) -> dict[str, Any]:
    """What is stored of a response: where it is from, and the figures and the response of each channel.

    ``histograms``: raw counts by channel, None for text, whose one row serves every channel.
    """
    duration_s = source.get("measured_s", source["duration_s"])
    channels: dict[str, dict[str, Any]] = {}
    for channel, histogram in histograms.items():
        entry: dict[str, Any] = {"photons": int(histogram.sum())}
        entry["rate_hz"] = _per(entry["photons"], duration_s)
        number = 0 if channel is None else channel
        response = measure(histogram, irf.bin_width_s) if number in irf.numbers else None
        if response is None:
            entry |= {"reason": "no response: too few photons, or nothing stands out of the background"}
        else:
            row = irf.shares[irf.numbers.index(number)]
            entry |= _figures(response, row.size, duration_s, irf.bin_width_s) | {"response": _packed(row)}
        channels["all" if channel is None else str(channel)] = entry
    return {
        "kind": IRF,
        "schema": SCHEMA,
        "photonstream": version("photonstream"),
        "source": dict(source),
        "excitation_nm": excitation_nm,
        "pulse_period_s": pulse_period_s,
        "bin_width_s": irf.bin_width_s,
        "bins": irf.shares.shape[1],
        "definitions": DEFINITIONS,
        "channels": channels,
        "notes": list(irf.notes),
    }


def _figures(response: Response, bins: int, duration_s: float | None, bin_width_s: float) -> dict[str, Any]:
    background, error = response.background, response.background_stderr
    notes = [
        f"a further peak {1e9 * peak.delay_s:+.3g} ns from the main one, {100.0 * peak.height:.2g} % as high: "
        "a reflection?"
        for peak in response.further
    ]
    if response.fwhm_s < _FEW_BINS * bin_width_s:
        notes.append("the width is less than 3 bins, so it is that of the bins as much as of the response")
    return {
        "peak_s": _value(response.peak_s, response.peak_stderr_s),
        "fwhm_s": _value(response.fwhm_s, response.fwhm_stderr_s),
        "half_maximum_s": [response.peak_s + response.start, response.peak_s + response.stop],
        "tail_share": _value(response.tail_share, response.tail_stderr),
        "skew": _value(response.skew, response.skew_stderr),
        "signal_photons": response.signal,
        "background_rate_hz": None
        if background is None or error is None or not duration_s
        else _value(background * bins / duration_s, error * bins / duration_s),
        "further_peaks": [dataclasses.asdict(peak) for peak in response.further],
        "notes": notes,
    }


def background_content(
    source: Mapping[str, Any], rows: Mapping[str, Any], trace: Mapping[str, Any], excitation_nm: float | None
) -> dict[str, Any]:
    """What is stored of a background: rate, flat and pulsed share, steadiness by channel.

    ``rows``: those of the node decay; ``trace``: in the bins that steadiness is asked of, the cut last one left out.
    """
    counts, duration_s = trace["counts"], float(source.get("measured_s", source["duration_s"]))
    bins = min(len(counts), math.floor(float(source["duration_s"]) / trace["bin_s"] + 1e-9))
    whole = counts[:bins][~trace["unseen"][:bins]]
    channels: dict[str, dict[str, Any]] = {}
    for channel in np.flatnonzero(counts.any(axis=0)).tolist():
        photons = int(counts[:, channel].sum())
        error_hz = _per(math.sqrt(photons), duration_s)
        entry: dict[str, Any] = {"photons": photons, "rate_hz": _value(_per(photons, duration_s), error_hz)}
        numbers = rows["channels"].tolist()
        if rows["pulse_period_s"] is None or channel not in numbers:
            entry |= dict.fromkeys(("flat_share", "pulsed_share", "pulsed_upper95", "pulsed_peak_s"))
            entry["pulsed_reason"] = "the recording holds no laser pulses"
        else:
            pulsed = pulsed_share(rows["counts"][:, numbers.index(channel)].sum(axis=0), rows["resolution_s"])
            known = pulsed.share is not None
            entry |= {
                "flat_share": _value(1.0 - pulsed.share, pulsed.stderr) if pulsed.share is not None else None,
                "pulsed_share": _value(pulsed.share, pulsed.stderr) if known else None,
                "pulsed_upper95": pulsed.upper95,
                "pulsed_peak_s": pulsed.peak_s,
                "pulsed_reason": pulsed.reason,
            }
        entry["steadiness"] = dataclasses.asdict(steadiness(whole[:, channel], trace["bin_s"]))
        channels[str(channel)] = entry
    return {
        "kind": BACKGROUND,
        "schema": SCHEMA,
        "photonstream": version("photonstream"),
        "source": dict(source),
        "excitation_nm": excitation_nm,
        "pulse_period_s": rows["pulse_period_s"],
        "channels": channels,
    }


def is_stored(path: Path) -> bool:
    """Whether ``path`` is one of these files, or at least JSON."""
    with path.open("rb") as file:
        return file.read(64).lstrip()[:1] == b"{"


def read_stored(path: Path) -> MeasuredIrf:
    """The response that `irf_content` stored. Raises ParameterError naming file and cause."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{path}: not valid JSON: {error}") from error
    if content.get("kind") != IRF:
        raise ParameterError(f"{path}: not a stored IRF (kind is {content.get('kind')!r:.60}, not {IRF!r})")
    if content.get("schema") != SCHEMA:
        raise ParameterError(
            f"{path}: schema {content.get('schema')!r:.20} of a stored IRF; this version reads {SCHEMA}"
        )
    try:
        return _unpacked(content)
    except KeyError as error:
        raise ParameterError(f"{path}: a damaged stored IRF: {error} is missing") from error
    except (AttributeError, TypeError) as error:
        raise ParameterError(f"{path}: a damaged stored IRF: a part of it is of the wrong kind") from error
    except (ValueError, OverflowError) as error:
        raise ParameterError(f"{path}: a damaged stored IRF: {error}") from error


def _unpacked(content: Mapping[str, Any]) -> MeasuredIrf:
    bins = content["bins"]
    if type(bins) is not int or not 8 <= bins <= _MOST_BINS:
        raise ValueError(f"{bins!r:.20} bins")
    shares, numbers, rates_hz = [], [], {}
    for name, entry in content["channels"].items():
        if "response" not in entry:
            continue
        packed = np.asarray(entry["response"]["shares"], dtype=np.float64)
        row = np.zeros(bins)
        row[(int(entry["response"]["first_bin"]) + np.arange(packed.size)) % bins] = packed
        shares.append(row)
        if name != "all":
            numbers.append(int(name))
            if entry["rate_hz"] is not None:
                rates_hz[int(name)] = float(entry["rate_hz"])
    taken = Circumstances(
        _known(content["pulse_period_s"]),
        _known(content["source"]["dtime_resolution_s"] and content["bin_width_s"]),
        _known(content["excitation_nm"]),
        rates_hz,
    )
    if not shares:
        raise ValueError("no channel has a response")
    return MeasuredIrf(
        np.stack(shares),
        float(content["bin_width_s"]),
        tuple(numbers),
        tuple(map(str, content["notes"])),
        taken,
    )


def _known(value: Any) -> float | None:
    known = None if value is None else float(value)
    if known is not None and not (known > 0.0 and math.isfinite(known)):
        raise ValueError(f"{value!r:.20} where something positive belongs")
    return known


def _packed(row: NDArray[np.float64]) -> dict[str, Any]:
    """The stretch of a row, around the end, outside of which it is zero."""
    first, length = stretch(row)
    return {"first_bin": first, "shares": np.roll(row, -first)[:length].tolist()}


def _per(count: float, duration_s: float | None) -> float | None:
    return count / duration_s if duration_s else None


def _value(value: float | None, stderr: float | None) -> dict[str, float | None] | None:
    return None if value is None else {"value": value, "stderr": stderr}
