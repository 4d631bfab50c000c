"""What can be chosen about a simulated experiment. Every number is in SI units and checked when it is set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from photonstream.nodes.inference.cascade import Cascade
from photonstream.stream.node import ParameterError

STATES = ("neutral", "charged", "dim")
PULSES_MAX = 1 << 36
PHOTONS_PER_PULSE_MAX = 20.0

Pair = tuple[float, float]


def _require(holds: bool, sentence: str) -> None:
    # NaN fails every comparison, so a bound that must hold also keeps NaN out.
    if not holds:
        raise ParameterError(sentence)


@dataclass(frozen=True, slots=True)
class Dwell:
    """How long a state lasts: exponential with mean ``mean_s``, or, where ``alpha`` is set, a power law
    t^-alpha from ``shortest_s`` to ``longest_s``."""

    mean_s: float = 0.0
    alpha: float | None = None
    shortest_s: float = 0.0
    longest_s: float = 0.0

    def __post_init__(self) -> None:
        if self.alpha is None:
            _require(0 < self.mean_s < math.inf, "the mean dwell time must be positive")
        else:
            _require(0 < self.shortest_s < self.longest_s < math.inf, "dwell times must rise from above 0")
            _require(0 < self.alpha <= 5, "the exponent of a dwell time must lie between 0 and 5")

    def expected_s(self) -> float:
        """The mean of the distribution."""
        if self.alpha is None:
            return self.mean_s
        return _power_integral(1.0 - self.alpha, self) / _power_integral(-self.alpha, self)


def _power_integral(exponent: float, dwell: Dwell) -> float:
    if exponent == -1.0:
        return math.log(dwell.longest_s / dwell.shortest_s)
    power = exponent + 1.0
    return float(dwell.longest_s**power - dwell.shortest_s**power) / power


@dataclass(frozen=True, slots=True)
class Blinking:
    """When the emitter leaves the neutral state, and how it emits then.

    From neutral it goes to charged with probability ``charged_share``, else to dim; from both it returns to
    neutral. Yields are relative to the neutral exciton's. In the charged state one exciton (the trion) lives
    ``tau_trion_s`` and gives a photon with ``yield_trion`` times the neutral probability; two or more
    excitons recombine as in the neutral state. In the dim state one exciton lives ``tau_dim_s``, and every
    radiative step, of however many excitons, gives a photon ``yield_dim`` times as often; ``tau_dim_s`` None is the
    neutral exciton's lifetime. Hot carriers (B-type blinking) are lost in the dim state: an absorbed photon
    counts with probability ``dim_photon_survival`` (lost before carrier multiplication), and of the excitons
    that it makes each survives with ``dim_exciton_survival`` (lost after it). A change takes effect with the
    first excited pulse after it.
    """

    dwell_neutral: Dwell = Dwell(0.8)
    dwell_charged: Dwell = Dwell(0.15)
    dwell_dim: Dwell = Dwell(alpha=1.5, shortest_s=0.01, longest_s=1.0)
    charged_share: float = 0.7
    tau_trion_s: float = 10e-9
    yield_trion: float = 0.4
    tau_dim_s: float | None = 2.5e-9
    yield_dim: float = 0.05
    dim_photon_survival: float = 1.0
    dim_exciton_survival: float = 1.0

    def __post_init__(self) -> None:
        for name in (
            "charged_share",
            "yield_trion",
            "yield_dim",
            "dim_photon_survival",
            "dim_exciton_survival",
        ):
            _require(0 <= getattr(self, name) <= 1, f"{name} must lie between 0 and 1")
        for name in ("tau_trion_s", "tau_dim_s"):
            lifetime_s = getattr(self, name)
            _require(lifetime_s is None or 0 < lifetime_s < 1e-3, f"{name} must be positive and below 1 ms")


@dataclass(frozen=True, slots=True)
class Detector:
    """A beam splitter and two detectors with their timing electronics; pairs hold channel 0 and channel 1.

    ``efficiency`` is the probability that a photon of that arm is seen, optics included. The response is a
    Gaussian of ``irf_fwhm_s`` at delay ``t0_s``; a share ``tail_share`` of the photons comes later by an
    exponential of ``tail_s``. After a detection a channel is blind for ``dead_time_s``, and with
    ``afterpulse_probability`` fires once more, an exponential of ``afterpulse_s`` after the dead time; so may
    that pulse. ``one_photon_per_sync`` keeps the first photon of each channel and sync period.
    ``resolution_s`` is the width of a TCSPC bin, None for what suits the device.
    """

    beam_splitter: float = 0.5
    efficiency: Pair = (0.15, 0.15)
    t0_s: Pair = (3.0e-9, 3.2e-9)
    irf_fwhm_s: Pair = (0.1e-9, 0.1e-9)
    tail_share: float = 0.0
    tail_s: float = 0.3e-9
    background_hz: Pair = (200.0, 200.0)
    dead_time_s: float = 0.0
    afterpulse_probability: float = 0.0
    afterpulse_s: float = 50e-9
    one_photon_per_sync: bool = False
    resolution_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("beam_splitter", "tail_share"):
            _require(0 <= getattr(self, name) <= 1, f"{name} must lie between 0 and 1")
        _require(all(0 <= each <= 1 for each in self.efficiency), "efficiency must lie between 0 and 1")
        _require(all(0 <= each <= 1e8 for each in self.background_hz), "background_hz must be 0 to 100 MHz")
        _require(all(0 <= each <= 1e-6 for each in self.irf_fwhm_s), "irf_fwhm_s must be 0 to 1 us")
        _require(all(abs(each) <= 1e-3 for each in self.t0_s), "t0_s must be within 1 ms")
        _require(0 <= self.afterpulse_probability <= 0.5, "afterpulse_probability must lie between 0 and 0.5")
        for name in ("dead_time_s", "afterpulse_s", "tail_s"):
            _require(0 <= getattr(self, name) <= 1e-4, f"{name} must be 0 to 100 us")
        _require(self.resolution_s is None or self.resolution_s > 0, "resolution_s must be positive")


@dataclass(frozen=True, slots=True)
class SimulationParameters:
    """One simulated measurement.

    A pulse is absorbed Poisson(``mean_n``) times, each time giving two excitons with probability
    ``cm_efficiency`` and else one. ``emitters`` emitters are excited and blink independently of each other.
    ``drift`` is the relative change of the detected brightness over the run, linear in time, without a change
    of excitation (as focus drift does). ``sync_divider`` is how many laser pulses make one sync record in T2;
    0 writes none.
    """

    repetition_rate_hz: float
    mean_n: float
    cm_efficiency: float
    emitter: Cascade
    blinking: Blinking | None = field(default_factory=Blinking)
    detector: Detector = field(default_factory=Detector)
    emitters: int = 1
    drift: float = 0.0
    duration_s: float = 30.0
    seed: int = 1
    sync_divider: int = 1

    def __post_init__(self) -> None:
        _require(1e3 <= self.repetition_rate_hz <= 1e9, "repetition_rate_hz must lie between 1 kHz and 1 GHz")
        _require(0 <= self.mean_n <= PHOTONS_PER_PULSE_MAX, "mean_n must lie between 0 and 20")
        _require(0 <= self.cm_efficiency <= 1, "cm_efficiency must lie between 0 and 1")
        _require(1 <= self.emitters <= 100, "emitters must be 1 to 100")
        _require(-1 <= self.drift < math.inf, "drift must be -1 (fades out) or more")
        seen = max(self.detector.efficiency) * (1 + max(0.0, self.drift))
        _require(seen <= 1, "efficiency with its drift must not exceed 1")
        _require(0 < self.duration_s < math.inf, "duration_s must be positive")
        _require(0 <= self.pulses - 1 < PULSES_MAX, f"duration_s must hold 1 to {PULSES_MAX} pulses")
        _require(self.seed >= 0, "seed must be 0 or more")
        _require(0 <= self.sync_divider <= 65536, "sync_divider must be 0 (no sync records) to 65536")
        problem = self.emitter.problem()
        _require(problem is None, str(problem))

    @property
    def period_s(self) -> float:
        """Time between laser pulses."""
        return 1.0 / self.repetition_rate_hz

    @property
    def pulses(self) -> int:
        """Pulses of the whole run."""
        return round(self.duration_s * self.repetition_rate_hz)


# What has settings of its own.
_PARTS = ("emitter", "blinking", "detector")


def setting_names(parameters: SimulationParameters) -> dict[str, Any]:
    """Every name that `with_settings` knows, with its present value."""
    values: dict[str, Any] = {}
    for part in (parameters, parameters.emitter, parameters.blinking, parameters.detector):
        if part is not None:
            values.update({each.name: getattr(part, each.name) for each in fields(part)})
    return {name: value for name, value in values.items() if name not in _PARTS}


def with_settings(parameters: SimulationParameters, values: Mapping[str, Any]) -> SimulationParameters:
    """The same measurement with ``values`` changed, whichever part each belongs to; checked once all are there.

    Raises ParameterError for an unknown name and for values that cannot be together.
    """
    left, parts = dict(values), {}
    for part in _PARTS:
        if (present := getattr(parameters, part)) is not None:
            names = {each.name for each in fields(present)} & set(left)
            parts[part] = replace(present, **{name: left.pop(name) for name in names})
    for name in left:
        if name not in setting_names(parameters):
            hint = " without blinking" if any(each.name == name for each in fields(Blinking)) else ""
            known = ", ".join(setting_names(parameters))
            raise ParameterError(f"there is no setting {name!r}{hint}; known are {known}")
    return replace(parameters, **left, **parts)
