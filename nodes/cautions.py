"""What to mind that the decay alone cannot tell: number of emitters, energy of the photons, trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from photonstream.nodes.inference.antibunching import MORE_THAN_ONE

# Energy of a photon times its wavelength.
EV_NM = 1239.842
# Carrier multiplication needs a photon of two gaps.
LEAST_GAPS = 2.0


def cautions(
    result: Mapping[str, Any],
    antibunching: Mapping[str, Any] | None,
    experiment: Mapping[str, Any],
    intensity: Mapping[str, Any],
) -> list[str]:
    """Sentences about the ``beta`` and ``eta`` of ``result``, none where there are neither; about the trace."""
    return [
        *_emitters(result, antibunching),
        *_energy(result, experiment),
        *_trace(intensity),
    ]


def _trace(intensity: Mapping[str, Any]) -> Iterator[str]:
    if intensity["bins"] == 1:
        yield (
            f"the trace is a single bin: bins of {intensity['bin_s']:g} s are as long as the recording or longer, and "
            "neither states nor levels can be told"
        )


def _emitters(result: Mapping[str, Any], antibunching: Mapping[str, Any] | None) -> Iterator[str]:
    late = (antibunching or {}).get("late") or {}
    if result["beta"] is not None and late.get("verdict") == MORE_THAN_ONE:
        yield "late photons say more than one emitter: lifetimes and beta are not those of one nanocrystal"


def _energy(result: Mapping[str, Any], experiment: Mapping[str, Any]) -> Iterator[str]:
    wavelength_nm, gap_ev = experiment.get("excitation_nm"), experiment.get("eg_ev")
    if result["eta"] is None or not wavelength_nm or not gap_ev:
        return
    gaps = EV_NM / wavelength_nm / gap_ev
    if gaps < LEAST_GAPS:
        yield (
            f"a photon of {wavelength_nm:g} nm has {gaps:.3g} gaps of {gap_ev:g} eV, and carrier multiplication needs "
            f"{LEAST_GAPS:g}: eta is what <N>, s and the model of higher excitons leave unexplained"
        )
