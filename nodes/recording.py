"""The recording as results and reports name it: what its header says together with what was counted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from photonstream.nodes.recording_events import GAP


def describe_recording(
    header: Mapping[str, Any], counts: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The ``recording`` object of result.json, from the source's ``recording`` and ``events`` and the decode node's
    ``counts``.

    ``duration_s`` is the time of the last record of any kind; numbers of channels count from 0.
    """
    notes = [*header["notes"], *counts["notes"]]
    notes.extend(_gap_note([event for event in events if event["kind"] == GAP]))
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
        "sync_rate_hz": header["sync_rate_hz"],
        "sync_divider": header["sync_divider"],
        "dtime_resolution_s": header["dtime_resolution_s"],
        "macrotime_unit_s": header["macrotime_unit_s"],
        "created": header["created"],
        "comment": header["comment"],
        "notes": notes,
    }


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
