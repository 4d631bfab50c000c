"""The recording as results and reports name it: what its header says together with what was counted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from photonstream.nodes.recording_events import GAP, STOP

# A laser whose rate differs by this share from what the recording itself shows is another one.
_SAME_RATE = 0.002
# From so many laser records on they tell the rate that well.
_ENOUGH_SYNCS = 1000


def describe_recording(
    header: Mapping[str, Any], counts: Mapping[str, Any], events: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The ``recording`` object of result.json, from the source's ``recording`` and ``events`` and the decode node's
    ``counts``.

    ``duration_s`` is the time of the last record of any kind, ``measured_s`` that without the gaps, in which nobody
    looked: rates and shares are of it. Numbers of channels count from 0.
    """
    notes = [*header["notes"], *counts["notes"]]
    gaps = [event for event in events if event["kind"] == GAP]
    notes.extend(_gap_note(gaps))
    notes.extend(f"the recording was cut short: {why}" for why in cut_short(events))
    notes.extend(_laser_note(header, counts, gaps))
    if header["records_read"] < header["records_in_file"]:
        notes.append(
            f"stopped after {header['records_read']:,} of {header['records_in_file']:,} records: "
            "all figures are of that part"
        )
    return {
        "path": header["path"],
        "sha256": header["sha256"],
        "format": header["format"],
        "record_type": header["record_type"],
        "mode": header["mode"],
        "records": header["records_read"],
        "photons": counts["photons"],
        "overflows": counts["overflows"],
        "overflow_wraps": counts["overflow_wraps"],
        "markers": counts["markers"],
        "syncs": counts["syncs"],
        "other": counts["other"],
        "photons_per_channel": dict(counts["photons_per_channel"]),
        "duration_s": counts["duration_s"],
        "measured_s": counts["duration_s"] - counts["gap_s"],
        "sync_rate_hz": header["sync_rate_hz"],
        "sync_divider": header["sync_divider"],
        "dtime_resolution_s": header["dtime_resolution_s"],
        "macrotime_unit_s": header["macrotime_unit_s"],
        "created": header["created"],
        "comment": header["comment"],
        "notes": notes,
    }


def cut_short(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why the recording ended before anybody wanted it to, from its events; nothing where it did not."""
    ends = [event for event in events if event.get("kind") == STOP]
    return [str(end.get("text")) for end in ends if end.get("failed") is True or end.get("died") is True]


def _gap_note(gaps: list[Mapping[str, Any]]) -> Iterator[str]:
    """What the device lost, as far as it is known, in one sentence."""
    if not gaps:
        return
    causes = Counter(str(gap.get("cause") or "cause unknown") for gap in gaps)
    why = ", ".join(f"{cause} ({n})" if n > 1 else cause for cause, n in causes.items())
    lost_s = [gap["lost_s"] for gap in gaps if isinstance(gap.get("lost_s"), float | int)]
    records = [gap["lost_records"] for gap in gaps if isinstance(gap.get("lost_records"), int)]
    known = [f"{sum(lost_s):.3g} s"] if lost_s else []
    known += [f"{sum(records):,} records"] if records else []
    lost = f"; lost as far as it is known: {' and '.join(known)}" if known else "; how much is not known"
    where = "1 gap" if len(gaps) == 1 else f"{len(gaps):,} gaps"
    yield f"the device lost data, {where} ({why}){lost}"


def _laser_note(
    header: Mapping[str, Any], counts: Mapping[str, Any], gaps: list[Mapping[str, Any]]
) -> Iterator[str]:
    """Where the laser's rate, given or of the head, is not that of the pulses the recording counts time by (T3) or
    holds as records (T2)."""
    rate_hz, seen_hz = header["sync_rate_hz"], None
    if header["mode"] == "T3":
        seen_hz = 1.0 / header["macrotime_unit_s"]
    elif counts["syncs"] >= _ENOUGH_SYNCS and counts["duration_s"] > 0 and not gaps:
        seen_hz = counts["syncs"] * header["sync_divider"] / counts["duration_s"]
    if rate_hz and seen_hz and abs(seen_hz / rate_hz - 1.0) > _SAME_RATE:
        yield (
            f"the laser's rate was taken as {1e-6 * rate_hz:.5g} MHz, but the recording's own pulses come at "
            f"{1e-6 * seen_hz:.5g} MHz: lifetimes and beta are wrong by the wrong period"
        )
