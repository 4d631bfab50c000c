"""What the counted pairs say, as result.json has it: centre, g2(0), number of emitters, yield of the biexciton.

Every figure comes with its interval, or is null beside a reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.antibunching import (
    MORE_THAN_ONE,
    Centre,
    blind,
    cascade_yield_ratio,
    corrected,
    delay_phase,
    find_centre,
    leftover_share,
    normal,
    ratio,
    side_peaks,
    verdict,
    yield_ratio,
)
from photonstream.nodes.inference.cascade_eta import CASCADE, TWO_LEVELS
from photonstream.nodes.inference.decay_fit import MISFIT
from photonstream.nodes.inference.estimate import Estimate, plain_value
from photonstream.nodes.inference.pair_peaks import Counts, OwnPulse, own_pulse, peaks
from photonstream.nodes.inference.rows import selected

# The formula for the biexciton's yield forgets excitons that outlive the period.
PERIODS_PER_LIFETIME = 4.0
MEAN_N_RELATIVE_ERROR = 0.3
# A photon is late when so many lifetimes of the biexciton have gone by: then one in 150 of them is left.
_LATE_PER_TAU_XX = 5.0
# Beyond these the terms of the formula cancel or overflow; no experiment is there.
MEAN_N_DOMAIN = (1e-6, 20.0)
_EV_NM = 1239.842
# Without pulses the centre is this many bins, and the outer half of the window is the level it is compared with.
CENTRE_BINS = 2
# What is said of the number of emitters where something else than the number of pairs is in the way.
NOT_JUDGED = "not judged"

Summary = dict[str, Any]


def report(
    pairs: Mapping[str, Any],
    selection: Mapping[str, Any],
    fit: Mapping[str, Any],
    experiment: Mapping[str, Any],
    recording: Mapping[str, Any],
) -> Summary:
    """The section ``antibunching`` of result.json (docs/schema.md).

    ``pairs`` is the result of the node, ``fit`` and ``experiment`` and ``recording`` are sections of result.json.
    """
    if pairs["by"] is None:
        return {"by": None, "reason": pairs["reason"]}
    on = _selected(pairs, selection)
    head = {
        "by": pairs["by"],
        "channels": pairs["channels"],
        "pairs_by_channels": [list(each) for each in pairs["totals"]],
    }
    if pairs["by"] == "pulses":
        return head | _by_pulse(pairs, on, fit, experiment)
    return head | _by_time(pairs, on, recording)


def _selected(pairs: Mapping[str, Any], selection: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which rows of the pairs are selected; those of photons with different labels never are."""
    labels: NDArray[np.int64] = pairs["labels"]
    return selected(selection, np.maximum(labels, 0)) & (labels >= 0)


def delay_curve(pairs: Mapping[str, Any], selection: Mapping[str, Any]) -> tuple[Any, Counts, Counts]:
    """Edges in seconds (bins + 1), and the pairs in each bin: all of them and the selected ones."""
    delays: Counts = pairs["delays"]
    on = _selected(pairs, selection)
    edges_s = pairs["delay_start_s"] + np.arange(delays.shape[1] + 1) * pairs["delay_bin_s"]
    return edges_s, delays.sum(axis=0), delays[on].sum(axis=0)


def _by_pulse(
    pairs: Mapping[str, Any], on: NDArray[np.bool_], fit: Mapping[str, Any], experiment: Mapping[str, Any]
) -> Summary:
    period_s: float = pairs["period_s"]
    classes: Counts = pairs["classes"]
    everything, selected = classes.sum(axis=0), classes[on].sum(axis=0)
    low = own_pulse(everything.sum(axis=(0, 2)), pairs["class_starts_s"], period_s)
    high = own_pulse(everything.sum(axis=(0, 1)), pairs["class_starts_s"], period_s)
    all_peaks, on_peaks = peaks(everything, low, high), peaks(selected, low, high)
    reach = len(all_peaks) // 2
    apart_s = high.mean_delay_s(everything.sum(axis=(0, 1))) - low.mean_delay_s(everything.sum(axis=(0, 2)))
    phase = delay_phase(pairs["delays"].sum(axis=0), pairs["delay_start_s"], pairs["delay_bin_s"], period_s)
    centre = _centre(pairs, all_peaks, reach, period_s, apart_s)
    if centre is None:
        return {"reason": f"the given offset lies outside the {reach} pulses that were counted"}
    blind_peaks = blind(all_peaks, centre.index) - reach
    why_none = ""
    if len(blind_peaks):
        listed = ", ".join(f"{k:+d}" for k in blind_peaks)
        why_none = (
            f"pairs are missing at {listed} pulses too: the electronics were blind after a photon, or the emitter "
            "stays excited for several pulses"
        )
    shares = [_background_share(fit, channel) for channel in pairs["channels"]]
    late = _late(selected, low, high, centre, why_none, pairs, fit, shares)
    of_selected = _g2(on_peaks, centre, why_none, shares)
    return {
        "reason": why_none,
        "period_s": period_s,
        "centre": {
            "pulses": centre.index - reach,
            "found": centre.found,
            "s": plain_value(_centre_s(phase, centre.index - reach, period_s, apart_s)),
        },
        # Where every pair is selected, the background's share of the selected photons is that of all.
        "all": _g2(all_peaks, centre, why_none, shares if np.array_equal(everything, selected) else None),
        "selected": of_selected,
        "late": late,
        "yield_ratio": _yield(of_selected, late["verdict"], period_s, fit, experiment),
    }


def _centre(
    pairs: Mapping[str, Any], counted: Counts, reach: int, period_s: float, apart_s: float
) -> Centre | None:
    given = pairs["offset_pulses"]
    if pairs["offset_s"] is not None:
        given = round((pairs["offset_s"] - apart_s) / period_s)
    if given is None:
        return find_centre(counted)
    return Centre(reach + given, "given") if abs(given) <= reach else None


def _centre_s(phase: Estimate | None, pulses: int, period_s: float, apart_s: float) -> Estimate | None:
    """The delay of the centre: of the places where a peak stands, the one nearest to what the pulses say."""
    if phase is None:
        return None
    whole_s = period_s * round((pulses * period_s + apart_s - phase.value) / period_s)
    return normal(whole_s + phase.value, phase.stderr or 0.0)


def _g2(counted: Counts, centre: Centre, why_none: str, shares: list[Estimate | None] | None) -> Summary:
    """Counts and g2(0) of one set of pairs, corrected where the background ``shares`` of both channels are known."""
    far = side_peaks(len(counted), centre.index)
    sides, n = int(counted[far].sum()), int(far.sum())
    g2 = None if why_none else ratio(int(counted[centre.index]), sides, n)
    reason = why_none or ("" if g2 is not None else "no pairs in the side peaks")
    better, why = None, reason
    if g2 is not None:
        better, why = _corrected(g2, shares)
    return {
        "pairs_centre": int(counted[centre.index]),
        "pairs_side_mean": sides / n,
        "side_peaks": n,
        "peaks": counted.tolist(),
        "g2_0": plain_value(g2),
        "g2_0_reason": reason,
        "g2_0_corrected": plain_value(better),
        "g2_0_corrected_reason": why,
    }


def _corrected(g2: Estimate, shares: list[Estimate | None] | None) -> tuple[Estimate | None, str]:
    if shares is None:
        return None, "the share of the background is known for the selected photons only"
    signal = _signal(shares)
    if signal is None:
        return None, "the share of the background is not known: no fit of the decay tells it"
    return corrected(g2, signal), ""


def _signal(shares: list[Estimate | None]) -> Estimate | None:
    """Share of pairs of two signal photons, from the background's share of the photons of each channel."""
    value, relative = 1.0, 0.0
    for share in shares:
        if share is None or not 0.0 <= share.value < 1.0:
            return None
        value *= 1.0 - share.value
        relative = math.hypot(relative, (share.stderr or 0.0) / (1.0 - share.value))
    return Estimate(value, value * relative)


def _background_share(fit: Mapping[str, Any], channel: int) -> Estimate | None:
    if fit.get("verdict") == MISFIT:
        return None
    found = (fit.get("channels") or {}).get(str(channel), {}).get("background_share")
    found = found or fit.get("background_share")
    return None if not found else Estimate(max(0.0, found["value"]), found["stderr"])


def _late(
    selected: Counts,
    low: OwnPulse,
    high: OwnPulse,
    centre: Centre,
    why_none: str,
    pairs: Mapping[str, Any],
    fit: Mapping[str, Any],
    shares: list[Estimate | None],
) -> Summary:
    """g2(0) of pairs of late photons, and what it says of the number of emitters."""
    tau_xx = fit.get("tau_xx_s") or {}
    late_s = max(pairs["late_s"], _LATE_PER_TAU_XX * (tau_xx.get("value") or 0.0))
    empty = {"late_s": late_s, "verdict": NOT_JUDGED}
    if why_none:
        return empty | {"reason": why_none}
    keep, late_shares = [], []
    marginals = selected.sum(axis=(0, 2)), selected.sum(axis=(0, 1))
    for own, channel, photons, share in zip((low, high), pairs["channels"], marginals, shares, strict=True):
        t0 = (fit.get("channels") or {}).get(str(channel), {}).get("t0_s")
        if not t0:
            return empty | {"reason": "no fit of the decay says where the pulse stands"}
        late = own.late(t0["value"], late_s)
        if not late.any():
            return empty | {"reason": "the pulse period is too short for late photons"}
        keep.append(late)
        late_shares.append(_late_share(own, late, photons, share))
    counted = peaks(selected, low, high, *keep)
    found = _g2(counted, centre, "", late_shares)
    estimate = found["g2_0_corrected"] or found["g2_0"]
    judged = None if estimate is None else Estimate(**estimate)
    return {"late_s": late_s, "verdict": verdict(judged), "reason": found["g2_0_reason"], **found}


def _late_share(
    own: OwnPulse, late: NDArray[np.bool_], photons: Counts, share: Estimate | None
) -> Estimate | None:
    """Background's share of the late photons: it comes at any time, so it has its part of the period there."""
    if share is None or not photons[late].sum():
        return None
    time_share = float((own.stops_s - own.starts_s)[late].sum()) / own.period_s
    factor = time_share * float(photons.sum()) / float(photons[late].sum())
    return Estimate(share.value * factor, None if share.stderr is None else share.stderr * factor)


def _yield(
    of_selected: Summary,
    emitters: str,
    period_s: float,
    fit: Mapping[str, Any],
    experiment: Mapping[str, Any],
) -> Summary:
    """Q_xx/Q_x where its formula holds, else the reason why not.

    ``emitters``: what late photons say of their number. The error holds that of counting, of the background and of
    <N>; ``models`` what three and more excitons do.
    """

    def none(reason: str) -> Summary:
        return {"value": None, "reason": reason, "models": None}

    tau_x, g2, mean_n = fit.get("tau_x_s"), of_selected["g2_0_corrected"], experiment.get("mean_n")
    nm, eg_ev = experiment.get("excitation_nm"), experiment.get("eg_ev")
    if g2 is None:
        return none(of_selected["g2_0_corrected_reason"])
    if emitters == MORE_THAN_ONE:
        return none("holds for one emitter, and the late photons are of more than one")
    if not tau_x or period_s < PERIODS_PER_LIFETIME * tau_x["value"]:
        return none("holds for pulse periods of four exciton lifetimes or more")
    if not nm or not eg_ev:
        return none(
            "the photon energy over the gap is not known (excitation_nm, eg_ev): g2(0) may be due to CM"
        )
    if _EV_NM / nm >= 2.0 * eg_ev:
        return none("the photon energy allows carrier multiplication, which raises g2(0) as well")
    if not mean_n:
        return none("<N> is not known")
    if not MEAN_N_DOMAIN[0] <= mean_n <= MEAN_N_DOMAIN[1]:
        return none("the formula serves <N> from {:g} to {:g}".format(*MEAN_N_DOMAIN))
    stderr = experiment.get("mean_n_stderr") or MEAN_N_RELATIVE_ERROR * mean_n
    pulses = period_s / tau_x["value"]
    found = yield_ratio(Estimate(**g2), mean_n, leftover_share(mean_n, pulses))
    if found is None:
        return none("no yield gives this g2(0) at this <N>")
    more = min(mean_n + stderr, MEAN_N_DOMAIN[1])
    other = yield_ratio(Estimate(**g2), more, leftover_share(more, pulses))
    extra = 0.0 if other is None else abs(other.value - found.value)
    cascade = cascade_yield_ratio(g2["value"], mean_n, float(fit["s"]), leftover_share(mean_n, pulses))
    return {
        "value": plain_value(found.carried(found.value, 1.0, extra)),
        "reason": "",
        "models": {TWO_LEVELS: found.value, CASCADE: cascade},
    }


def _by_time(pairs: Mapping[str, Any], on: NDArray[np.bool_], recording: Mapping[str, Any]) -> Summary:
    delays: Counts = pairs["delays"]
    bin_s, start_s = pairs["delay_bin_s"], pairs["delay_start_s"]
    centre_s = pairs["offset_s"] or 0.0
    middle_s = start_s + (np.arange(delays.shape[1]) + 0.5) * bin_s
    window_s = -start_s
    rates = [_rate(recording, channel) for channel in pairs["channels"]]
    measured_s = recording["measured_s"]
    result: Summary = {
        "reason": "",
        "window_s": window_s,
        "bin_s": bin_s,
        "centre": {
            "pulses": None,
            "found": "not found" if pairs["offset_s"] is None else "given",
            "s": centre_s,
        },
        "rates_hz": rates,
        "accidental_pairs_per_bin": rates[0] * rates[1] * bin_s * measured_s if measured_s > 0 else None,
    }
    inside = np.abs(middle_s - centre_s) < CENTRE_BINS / 2 * bin_s
    outside = np.abs(middle_s - centre_s) > 0.5 * window_s
    if inside.sum() != CENTRE_BINS or outside.sum() < CENTRE_BINS:
        return result | {"reason": "the centre lies outside the window"}
    levels = float(outside.sum()) / CENTRE_BINS
    for name, rows in (("all", slice(None)), ("selected", on)):
        counted = delays[rows].sum(axis=0)
        centre, sides = int(counted[inside].sum()), int(counted[outside].sum())
        g2 = ratio(centre, sides, levels)
        result[name] = {
            "pairs_centre": centre,
            "pairs_side_mean": sides / levels,
            "g2_0": plain_value(g2),
            "g2_0_reason": "" if g2 is not None else "no pairs in the outer half of the window",
        }
    return result


def _rate(recording: Mapping[str, Any], channel: int) -> float:
    photons = recording["photons_per_channel"]
    n = photons.get(channel, photons.get(str(channel), 0))
    return float(n / recording["measured_s"]) if recording["measured_s"] > 0 else 0.0
