"""Pairs of photons on the live page: coincidences by delay, and the number of emitters by late photons. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from photonstream.dashboard import coincidence
from photonstream.dashboard.axes import round_above
from photonstream.dashboard.findings import DASH
from photonstream.dashboard.folder import Curve, RunFolder
from photonstream.dashboard.latest import Latest
from photonstream.dashboard.live_panels import Update, none_yet
from photonstream.dashboard.live_words import experiment_of
from photonstream.dashboard.numbers import estimate_text, interval_95, is_estimate
from photonstream.dashboard.panels.coincidence import coincidence_columns, most_pairs, pairs_label
from photonstream.nodes.inference.pair_report import delay_curve, report

# As many bins as the frame has pixels, or fewer.
LIVE_BINS = 240


def pairs_view(latest: Latest) -> Update:
    """The curve of coincidences with its centre, g2(0) of late pairs, and the verdict on the number of emitters."""
    pairs, selection = latest.value("antibunching", "pairs"), latest.value("states", "selection")
    if not pairs or not selection:
        words = none_yet(latest, "No pairs", "antibunching", "pairs")
        return _nothing(words) | {"text": emitter_words({"reason": words[:1].lower() + words[1:-1]})}
    section = report(pairs, selection, _fit(latest), experiment_of(latest), latest.value("decode", "counts"))
    if pairs["by"] is None:
        return _nothing(f"No pairs: {section['reason']}.") | {"text": emitter_words(section)}
    edges_s, everything, selected = delay_curve(pairs, selection)
    curve = {
        "delay_start": 1e9 * edges_s[:-1],
        "delay_stop": 1e9 * edges_s[1:],
        "pairs": everything,
        "pairs_selected": selected,
    }
    columns = coincidence_columns(Curve({k: np.asarray(v, float) for k, v in curve.items()}), LIVE_BINS)
    centre_ns = coincidence.centre_ns(RunFolder(Path(), {"antibunching": section}, {}))
    return {
        "data": {"pairs": columns},
        "ranges": {
            "between": (float(columns["left"][0]), float(columns["right"][-1])),
            "pairs": (0.0, round_above(1.02 * most_pairs(columns))),
        },
        "models": {
            "pairs axis": {"axis_label": pairs_label(columns)},
            "pairs centre": {"visible": centre_ns is not None, "location": centre_ns or 0.0},
        },
        "say": {"pairs": ""},
        "text": emitter_words(section),
    }


def emitter_words(section: Mapping[str, Any]) -> dict[str, str]:
    """g2(0) of late pairs with its interval, and how many emitters that is; without late pairs that of all selected.

    ``section`` is the section ``antibunching`` of result.json.
    """
    late, chosen = (
        value if isinstance(value := section.get(key), Mapping) else {} for key in ("late", "selected")
    )
    for part, label in ((late, "late g⁽²⁾(0)"), (chosen, "g⁽²⁾(0)")):
        key = next((k for k in ("g2_0_corrected", "g2_0") if is_estimate(part.get(k))), None)
        if key is None:
            continue
        g2, without = part[key], " corr." if key == "g2_0_corrected" else ""
        interval = interval_95(g2)
        verdict = str(late.get("verdict") or "") if part is late else "of all selected pairs"
        return {
            "g2-label": f"{label}{without} {interval}" if interval else f"{label}{without}",
            "g2": estimate_text(g2, without_error="no pair"),
            "g2-small": verdict,
        }
    reason = str(late.get("reason") or section.get("reason") or late.get("verdict") or "")
    return {"g2-label": "late g⁽²⁾(0)", "g2": DASH, "g2-small": reason}


def _nothing(words: str) -> Update:
    return {
        "data": {"pairs": coincidence_columns(Curve())},
        "models": {"pairs centre": {"visible": False}},
        "say": {"pairs": words},
    }


def _fit(latest: Latest) -> Mapping[str, Any]:
    summary = latest.value("lifetime", "fit").get("summary")
    fit = summary.get("fit") if isinstance(summary, Mapping) else None
    return fit if isinstance(fit, Mapping) else {}
