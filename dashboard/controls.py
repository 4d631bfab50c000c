"""What a person may set from the page: each field, how its value is written there, what a text in it means. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from photonstream.dashboard.device_fields import device_setting, device_view
from photonstream.dashboard.latest import RUN, STATUS, Latest
from photonstream.dashboard.live_panels import Update
from photonstream.dashboard.numbers import MS, NM, NS, NW, ONE, Unit
from photonstream.nodes.experiment import OF_FIT, experiment_settings
from photonstream.nodes.intensity import IntensityParameters
from photonstream.nodes.lifetime_parameters import LifetimeParameters
from photonstream.nodes.states import StatesParameters

# Said of a field that may be left empty.
OPTIONAL = "not known"


@dataclass(frozen=True)
class Field:
    """A parameter ``name`` of ``node`` with its words, unit, choices (value and words), and what an empty field says.

    ``anew``: a change has the recording read from its start again. ``plain_text``: the value is a text as it stands.
    ``span``: the value is two numbers, low:high, either of which may be left out.
    """

    node: str
    name: str
    words: str
    unit: Unit = ONE
    choices: tuple[tuple[str, str], ...] = ()
    empty: str = ""
    anew: bool = False
    plain_text: bool = False
    span: bool = False

    @property
    def key(self) -> str:
        """Its name on the page."""
        return f"{self.node}-{self.name}"

    def shown(self, value: Any) -> str:
        """A value as the field shows it."""
        if value is None:
            return ""
        if self.span:
            low, high = (f"{end * self.unit.per_si:.6g}" if math.isfinite(end) else "" for end in value)
            return f"{low}:{high}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.plain_text:
                return f"{1e9 * value:.6g}ns"
            return f"{value * self.unit.per_si:.6g}"
        return str(value)

    def parse(self, text: str) -> Any:
        """The value that a text in the field means. Raises ValueError with a sentence for the person."""
        text = text.strip()
        if self.choices:
            if text not in dict(self.choices):
                raise ValueError(f"{self.words} is one of {', '.join(dict(self.choices))}")
            return text
        if not text and self.empty:
            return None
        if self.plain_text:
            return text
        if self.span:
            return self._span(text)
        return self._number(text)

    def _span(self, text: str) -> list[float]:
        low, colon, high = text.partition(":")
        if not colon:
            raise ValueError(f"{self.words} is two numbers of {self.unit.name} such as 2:150")
        ends = [self._number(low) if low.strip() else 0.0, self._number(high) if high.strip() else math.inf]
        if not 0.0 <= ends[0] < ends[1]:
            raise ValueError(f"{self.words} rises from 0 {self.unit.name} or more")
        return ends

    def _number(self, text: str) -> float:
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{self.words} is a number{f' of {self.unit.name}' if self.unit.name else ''}")
        return value / self.unit.per_si


FIELDS = (
    Field(
        "states",
        "method",
        "states by",
        choices=(("hmm", "hidden Markov"), ("window", "window of rates")),
        anew=True,
    ),
    Field("intensity", "bin_s", "bin of the trace", MS, anew=True),
    Field(
        "lifetime",
        "model",
        "components",
        choices=(("auto", "by the data"), ("mono", "one"), ("bi", "two")),
    ),
    Field("lifetime", "irf", "response", empty="fitted", plain_text=True),
    Field("lifetime", "fit_range_s", "fit range, delay", NS, empty="all", span=True),
    Field("lifetime", "mean_n", "<N> per pulse", empty=OPTIONAL),
    Field("lifetime", "mean_n_stderr", "error of <N>", empty="30 %"),
    Field("lifetime", "s", "s, XX over X"),
    Field("lifetime", "assumed_tau_xx_s", "τₓₓ if mono", NS),
    Field("lifetime", "dead_time_s", "dead time", NS, empty="not corrected"),
    Field("lifetime", "target_sigma", "wanted σ of β"),
)
# What is known of the experiment; <N> stands above, with what else the fit takes.
EXPERIMENT_FIELDS = (
    Field("results", "particle", "particle", empty=OPTIONAL, plain_text=True),
    Field("results", "sample", "sample", empty=OPTIONAL, plain_text=True),
    Field("results", "excitation_nm", "excitation", NM, empty=OPTIONAL),
    Field("results", "power_w", "power", NW, empty=OPTIONAL),
)
_BY_KEY: Mapping[str, Field] = {field.key: field for field in (*FIELDS, *EXPERIMENT_FIELDS)}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    node: {field.name: field.default for field in fields(parameters)}
    for node, parameters in (
        ("states", StatesParameters),
        ("intensity", IntensityParameters),
        ("lifetime", LifetimeParameters),
    )
}


def settings_of(key: object, text: object) -> list[dict[str, Any]]:
    """The settings that a text in a field stands for, which a run is told together.

    A field of the experiment goes wherever `photonstream ctl meta` sends it. Raises ValueError with a sentence for the
    person.
    """
    if isinstance(key, str) and isinstance(text, str) and (setting := device_setting(key, text)) is not None:
        return [setting]
    field = _BY_KEY.get(key) if isinstance(key, str) else None
    if field is None or not isinstance(text, str):
        raise ValueError("the page has no such field")
    value = field.parse(text)
    if field in EXPERIMENT_FIELDS or field.name in OF_FIT:
        return experiment_settings({field.name: value})
    return [{"node": field.node, "name": field.name, "value": value}]


def controls_view(latest: Latest) -> Update:
    """What every field shows, the parameters of the run as they are, and which of its deeds the run allows now."""
    status = latest.value(RUN, STATUS)
    given = mapping(status.get("parameters"))
    results = mapping(given.get("results"))
    known = mapping(results.get("experiment"))

    def value(field: Field) -> Any:
        return mapping(given.get(field.node)).get(field.name, _DEFAULTS[field.node][field.name])

    shown = {field.key: field.shown(value(field)) for field in FIELDS}
    shown |= {field.key: field.shown(known.get(field.name)) for field in EXPERIMENT_FIELDS}
    device = mapping(status.get("device"))
    deeds = {
        "discarded": bool(results.get("discarded")),
        "next": status.get("has_next") is True,
        "recorded": device.get("recording") is False,
    }
    of_device = device_view(device) if device else {"device": None, "fields": {}}
    # The rows come before what stands in them.
    return {"device": of_device["device"], "fields": shown | of_device["fields"], "deeds": deeds}


def mapping(value: object) -> Mapping[str, Any]:
    """``value`` where it is a mapping, or an empty one."""
    return value if isinstance(value, Mapping) else {}
