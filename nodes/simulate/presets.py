"""Ready-made measurements of one FAPbI3/NdF3 nanocrystal, and ways of blinking.

Lifetimes and repetition rates are those published for one nanocrystal at each wavelength. ``cm_efficiency``
is the true eta, for which the published *apparent* beta is taken (25.7 % over 52 particles at 355 nm, 18.1 %
over 37 at 366 nm, none at 385 and 640 nm). A fit with the usual formula therefore reads more than eta: at 355
nm B = 0.294 of the excited pulses hold more than one exciton, since some pulses are absorbed twice, and the
n^2 cascade of three and more excitons reads as about 0.33. With eta taken so, numbers from these presets
compare directly with a truth of 0.257, and g2(0) at 355 nm is about 1.69. At 640 nm and <N> = 0.1 the
biexciton is too rare to be seen in the published decay; its lifetime there is that of the same particle at
355 nm.

Published lifetimes of one nanocrystal differ from run to run (47.1 ns at 640 nm and <N> = 0.1, 46.4 and 3.3 ns at 0.5),
so the presets do, and are not one nanocrystal to a calibration of s and <N>: `ONE_NANOCRYSTAL` makes them one.
"""

from __future__ import annotations

from typing import NamedTuple

from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.simulate.parameters import Blinking, Dwell, SimulationParameters


class Preset(NamedTuple):
    """A measurement and what it stands for, in a line."""

    parameters: SimulationParameters
    summary: str


def _preset(
    summary: str,
    *,
    tau_x_s: float,
    tau_xx_s: float,
    cm_efficiency: float = 0.0,
    mean_n: float = 0.1,
    repetition_rate_hz: float = 4.75e6,
) -> Preset:
    emitter = Cascade(tau_x_s=tau_x_s, tau_xx_s=tau_xx_s)
    return Preset(SimulationParameters(repetition_rate_hz, mean_n, cm_efficiency, emitter), summary)


PRESETS = {
    "355nm": _preset(
        "2.21 Eg, <N> = 0.1: carrier multiplication, eta 0.257 (apparent beta about 0.33)",
        tau_x_s=46.8e-9,
        tau_xx_s=3.6e-9,
        cm_efficiency=0.257,
    ),
    "366nm": _preset(
        "2.14 Eg, <N> = 0.1: carrier multiplication, eta 0.181",
        tau_x_s=46.6e-9,
        tau_xx_s=3.7e-9,
        cm_efficiency=0.181,
    ),
    "385nm": _preset("2.04 Eg, <N> = 0.1: no carrier multiplication", tau_x_s=46.2e-9, tau_xx_s=3.9e-9),
    "640nm": _preset(
        "1.22 Eg, <N> = 0.1: no carrier multiplication possible, the control",
        tau_x_s=47.1e-9,
        tau_xx_s=3.6e-9,
        repetition_rate_hz=5e6,
    ),
    "640nm-n0.5": _preset(
        "1.22 Eg, <N> = 0.5: biexcitons by absorbing twice, the calibration of s and <N>",
        tau_x_s=46.4e-9,
        tau_xx_s=3.3e-9,
        mean_n=0.5,
        repetition_rate_hz=5e6,
    ),
}

# What of "640nm-n0.5" has to be set to be the nanocrystal of "640nm", as it is typed.
ONE_NANOCRYSTAL = ("tau_x_s=47.1ns", "tau_xx_s=3.6ns")

BLINKING: dict[str, Blinking | None] = {
    "none": None,
    "normal": Blinking(),
    "power-law": Blinking(
        dwell_neutral=Dwell(alpha=1.5, shortest_s=0.02, longest_s=10.0),
        dwell_charged=Dwell(alpha=1.5, shortest_s=0.01, longest_s=2.0),
        dwell_dim=Dwell(alpha=1.5, shortest_s=0.01, longest_s=2.0),
    ),
    "fast": Blinking(dwell_neutral=Dwell(0.05), dwell_charged=Dwell(0.025), charged_share=1.0),
    "flicker": Blinking(charged_share=1.0, tau_trion_s=19.9e-9, yield_trion=0.85),
    "hot-carrier": Blinking(
        dwell_dim=Dwell(0.15), charged_share=0.0, tau_dim_s=None, yield_dim=1.0, dim_exciton_survival=0.5
    ),
}

BLINKING_SUMMARIES = {
    "none": "always neutral",
    "normal": "charged and dim periods of 0.1 s between neutral ones of 0.8 s",
    "power-law": "dwell times t^-1.5 in every state",
    "fast": "neutral 50 ms, charged 25 ms: bins of 10 ms hold both",
    "flicker": "a charged state nearly as bright as the neutral one: no second peak in the intensities",
    "hot-carrier": "B-type: in a dim state half of the excitons are lost at once, the lifetime stays",
}
