"""The recording as results and reports name it: what its header says together with what was counted in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe_recording(header: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """The ``recording`` object of result.json, from the source's ``recording`` and the decode node's ``counts``.

    ``duration_s`` is the time of the last record of any kind; numbers of channels count from 0.
    """
    notes = [*header["notes"], *counts["notes"]]
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
