"""A photon-by-photon simulator of the experiment, which knows the truth of what it writes."""

from photonstream.nodes.simulate.parameters import (
    Blinking,
    Detector,
    Dwell,
    SimulationParameters,
    setting_names,
    with_settings,
)
from photonstream.nodes.simulate.presets import BLINKING, PRESETS
from photonstream.nodes.simulate.run import simulate
from photonstream.nodes.simulate.truth import Truth

__all__ = [
    "BLINKING",
    "PRESETS",
    "Blinking",
    "Detector",
    "Dwell",
    "SimulationParameters",
    "Truth",
    "setting_names",
    "simulate",
    "with_settings",
]
