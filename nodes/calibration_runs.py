"""Runs that calibrate another one: their result folders read back, and what the calibration says as result.json has it.

A folder is one that a run has written (docs/schema.md): its selected photons by channel and delay, what its fit was
told of instrument and detectors, and what is known of its <N> and power.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.cautions import EV_NM, LEAST_GAPS
from photonstream.nodes.inference.beta import MIN_PERIOD_PER_TAU_X
from photonstream.nodes.inference.calibration import calibrate
from photonstream.nodes.inference.calibration_data import (
    CalibrationRun,
    Models,
    Sample,
    Way,
    power_shared,
)
from photonstream.nodes.inference.calibration_range import Span, spans
from photonstream.nodes.inference.decay_data import MEAN_N_MOST, DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import Estimate, plain_value
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.refit import refit_of
from photonstream.nodes.irf_files import load_irf
from photonstream.nodes.lifetime_parameters import MEAN_N_RELATIVE_ERROR, LifetimeParameters
from photonstream.stream.node import ParameterError


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A calibration run as its folder has it; ``experiment``: what was known of it; ``sha256`` of its recording."""

    path: Path
    data: DecayData
    options: FitOptions
    experiment: Mapping[str, Any]
    sha256: str | None


class CalibrationRuns:
    """The runs of the folders ``paths``, read at once and fitted when they are first needed.

    Raises ParameterError for the first folder that cannot calibrate anything.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._folders = tuple(_read(Path(path)) for path in paths)
        for k, path in enumerate(paths):
            if Path(path).resolve() in {Path(other).resolve() for other in paths[:k]}:
                raise ParameterError(f"{path}: this calibration run was given twice")
        self._fitted: tuple[CalibrationRun, ...] = ()

    def summary(self, data: DecayData | str, options: FitOptions, fit: DecayFit) -> dict[str, Any] | None:
        """The ``calibration`` of result.json for the final ``fit`` of ``data`` (text: why there are none)."""
        if not self._folders:
            return None
        if isinstance(data, str) or fit.start is None:
            return {"reason": f"no calibration: {fit.reason}"}
        try:
            self._fitted = self._fitted or tuple(_fitted(folder) for folder in self._folders)
        except ValueError as error:
            return {"reason": f"no calibration: {error}"}
        runs = self._fitted
        sample = Sample(refit_of(data, options, fit), fit, options)
        found = calibrate(runs, sample)
        return {
            "reason": "",
            "runs": [_run(folder, run) for folder, run in zip(self._folders, runs, strict=True)],
            "power_shared": power_shared(runs),
            "s_at_given_n": _models(found.s_at_given_n),
            "n_at_given_s": _models(found.n_at_given_s),
            "warnings": list(found.warnings),
        }


def _fitted(folder: RunFolder) -> CalibrationRun:
    """The run fitted alone. Raises ValueError naming the folder where its decay cannot be fitted."""
    experiment = folder.experiment
    try:
        fit = fit_decay(folder.data, folder.options)
        refit = refit_of(folder.data, folder.options, fit)
    except ValueError as error:
        raise ValueError(f"{folder.path}: {error}") from error
    mean_n, stderr = _positive(experiment, "mean_n"), experiment.get("mean_n_stderr")
    relative = MEAN_N_RELATIVE_ERROR
    if mean_n is not None and stderr is not None:
        relative = float(stderr) / mean_n
    return CalibrationRun(
        str(folder.path),
        refit,
        fit.model == "bi",
        mean_n,
        relative,
        _positive(experiment, "power_w"),
        _positive(experiment, "excitation_nm"),
        fit.irf_fwhm_s.value if fit.irf_fwhm_s is not None else 0.0,
        folder.options.irf_fitted,
    )


def with_names(
    calibration: Mapping[str, Any] | None, experiment: Mapping[str, Any], sha256: str | None = None
) -> dict[str, Any] | None:
    """``calibration`` with a warning where its runs and this one (``experiment``, of the recording ``sha256``) are of
    different particles, or of one recording.
    """
    if calibration is None or "runs" not in calibration:
        return None if calibration is None else dict(calibration)
    names = {str(run["particle"]) for run in calibration["runs"] if run["particle"]}
    own = experiment.get("particle")
    others = sorted(names - ({str(own)} if own else set()))
    warnings = list(calibration["warnings"])
    same = [run["folder"] for run in calibration["runs"] if sha256 is not None and run["sha256"] == sha256]
    if same:
        warnings.append(
            f"{', '.join(same)} is of the very recording that it calibrates, so it says nothing new"
        )
    unknown = [run["folder"] for run in calibration["runs"] if run["excitation_nm"] is None]
    if unknown:
        warnings.append(
            f"nothing says at which wavelength {', '.join(unknown)} was excited: where it can multiply carriers, s and "
            "<N> from it mean nothing (name excitation_nm with --meta)"
        )
    if own and others:
        warnings.append(
            f"this run is of particle {own!r}, calibration runs are of {', '.join(map(repr, others))}"
        )
    elif len(others) > 1:
        warnings.append(f"the calibration runs are of different particles: {', '.join(map(repr, others))}")
    return {**calibration, "warnings": warnings}


def _run(folder: RunFolder, run: CalibrationRun) -> dict[str, Any]:
    stderr = None if run.mean_n is None else run.mean_n * run.mean_n_relative_error
    return {
        "folder": run.name,
        "sha256": folder.sha256,
        "particle": folder.experiment.get("particle"),
        "excitation_nm": run.excitation_nm,
        "power_w": run.power_w,
        "given_n": None if run.mean_n is None else plain_value(Estimate(run.mean_n, stderr)),
        "photons": folder.data.photons,
        "fast_component": run.fast,
    }


def _models(models: Models) -> dict[str, Any]:
    """One way of calibrating: the range over the models, and what each says by its name."""
    ranges = {key: _span(found) for key, found in spans(models.by_name).items()}
    return {"range": ranges, "models": {name: _way(way) for name, way in models.by_name.items()}}


def _span(found: Span | list[Span | None] | None) -> Any:
    if isinstance(found, list):
        return [_span(each) for each in found]
    return None if found is None else {"ci95": [found.low, found.high], "models": list(found.models)}


def _way(way: Way) -> dict[str, Any]:
    return {
        "reason": way.reason,
        "s": plain_value(way.s),
        "s_reason": way.s_reason,
        "mean_n": [plain_value(each) for each in way.mean_n],
        "scale": plain_value(way.scale),
        "tau_x_s": plain_value(way.tau_x_s),
        "tau_xx_s": plain_value(way.tau_xx_s),
        "beta": plain_value(way.beta),
        "beta_reason": way.beta_reason,
        "eta": plain_value(way.eta),
        "eta_reason": way.eta_reason,
    }


def _read(path: Path) -> RunFolder:
    summary = _summary(path)
    fit, experiment = summary.get("fit"), summary.get("experiment") or {}
    if not isinstance(fit, Mapping) or not isinstance(experiment, Mapping):
        raise ParameterError(f"{path}: result.json holds no fit, so this is no run that can calibrate")
    if fit.get("model") not in ("mono", "bi"):
        raise ParameterError(f"{path}: this run has no decay to calibrate with: {fit.get('reason')}")
    period_s = fit.get("pulse_period_s")
    if not isinstance(period_s, int | float) or not period_s > 0.0:
        raise ParameterError(f"{path}: result.json does not say the pulse period; replay the recording again")
    tau_x_s = float(fit["tau_x_s"]["value"])
    if period_s < MIN_PERIOD_PER_TAU_X * tau_x_s:
        raise ParameterError(
            f"{path}: the pulse period {1e9 * period_s:.4g} ns is shorter than 4 tau_x = {4e9 * tau_x_s:.4g} ns, so "
            "excitons left over from earlier pulses make biexcitons too"
        )
    _check_energy(path, experiment)
    if (_positive(experiment, "mean_n") or 0.0) > MEAN_N_MOST:
        raise ParameterError(
            f"{path}: its <N> of {experiment['mean_n']:g} is above {MEAN_N_MOST:g}, which no run has"
        )
    counts, channels, width_s = _counts(path, fit)
    states = summary.get("states") or {}
    on_time_s = states.get("on_time_s")
    pulses = on_time_s / period_s if on_time_s else None
    try:
        data = DecayData(counts, width_s, float(period_s), pulses, channels)
        sha256 = (summary.get("recording") or {}).get("sha256")
        return RunFolder(path, data, _options(path, summary), experiment, sha256)
    except ValueError as error:
        raise ParameterError(f"{path}: {error}") from error


def _summary(path: Path) -> Mapping[str, Any]:
    file = path / "result.json"
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(
            f"{path}: not the result folder of a finished run: result.json cannot be read: {error.strerror}"
        ) from error
    except ValueError as error:
        raise ParameterError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(summary, Mapping):
        raise ParameterError(f"{file}: not the result of a run")
    return summary


def _check_energy(path: Path, experiment: Mapping[str, Any]) -> None:
    """Raise ParameterError for photons that can multiply carriers, where wavelength and gap are known."""
    gap_ev, wavelength_nm = _positive(experiment, "eg_ev"), _positive(experiment, "excitation_nm")
    if gap_ev is None or wavelength_nm is None or EV_NM / wavelength_nm < LEAST_GAPS * gap_ev:
        return
    raise ParameterError(
        f"{path}: at {wavelength_nm:g} nm a photon has {EV_NM / wavelength_nm / gap_ev:.3g} gaps of {gap_ev:g} eV and "
        "can multiply carriers: a calibration run must stay below 2"
    )


def _options(path: Path, summary: Mapping[str, Any]) -> FitOptions:
    given = dict((summary.get("parameters") or {}).get("lifetime") or {})
    given.pop("calibrate", None)
    given["fit_range_s"] = (summary.get("fit") or {}).get("fit_range_s")
    try:
        parameters = LifetimeParameters(**given)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{path}: its parameters of the lifetime node: {error}") from error
    try:
        irf = None if parameters.irf is None else load_irf(parameters.irf)
    except ParameterError as error:
        raise ParameterError(f"{path}: the instrument response of this run: {error}") from error
    return dataclasses.replace(parameters.options(), irf=irf, intervals=False)


def _counts(path: Path, fit: Mapping[str, Any]) -> tuple[NDArray[np.int64], tuple[int, ...], float]:
    """Selected photons (channels, bins), the channels, and the width of a bin."""
    channels = sorted(int(c) for c in fit.get("channels") or {})
    files = [path / f"decay_ch{c}.csv" for c in channels]
    if len(channels) == 1 and not files[0].exists():
        files = [path / "decay.csv"]
    tables = [_table(file) for file in files]
    if not tables:
        raise ParameterError(f"{path}: result.json names no channel with photons")
    if len({len(table) for table in tables}) != 1:
        raise ParameterError(f"{path}: its decays have different numbers of bins")
    start_ns, stop_ns = tables[0][0][:2]
    counts = np.array([table[:, 2] for table in tables])
    return np.rint(counts).astype(np.int64), tuple(channels), 1e-9 * float(stop_ns - start_ns)


def _table(file: Path) -> NDArray[np.float64]:
    """Bin edges in ns and counts, the first three columns of a decay."""
    try:
        with file.open(encoding="utf-8") as lines:
            names = next(lines, "").strip().split(",")
            next(lines, "")
            if names[:3] != ["time_start", "time_stop", "counts"]:
                raise ParameterError(f"{file}: not a decay: its columns are {', '.join(names)[:80]}")
            table = np.loadtxt(lines, delimiter=",", ndmin=2, usecols=(0, 1, 2), dtype=np.float64)
    except OSError as error:
        raise ParameterError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ParameterError(f"{file}: not a table of numbers: {error}") from error
    if not len(table) or not np.all(np.isfinite(table)):
        raise ParameterError(f"{file}: not a decay: it has no bins, or empty ones")
    return table


def _positive(known: Mapping[str, Any], name: str) -> float | None:
    """A number of the experiment; None where it is not known, or not above 0."""
    value = known.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if value > 0.0 else None
