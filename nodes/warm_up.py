"""Has everything ready that the first photons would have to wait for: kernels compiled and loaded, modules imported.

Only running the nodes tells what they need, so they run over two seconds of photons that were made up.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.compiled import all_are_kept, kernels_are_kept
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import BY_NAME, GENERIC_T2, GENERIC_T3, RecordType
from photonstream.nodes.kernels.decode import decode, new_carry
from photonstream.nodes.pipeline import standard
from photonstream.stream.runner import InlineRunner

# Longer than the first choice of states takes; dim enough that nothing takes long.
_SECONDS, _RATES_HZ, _TURN_S = 2.1, (16e3, 3e3), 0.1
_PERIOD_S, _LIFETIME_S = 2e-7, 3e-8
# The TCSPC bin of T3, and the tick of T2.
_BIN_S, _TICK_S = 8e-11, 1e-11


@cache
def warm_up() -> None:
    """Run the standard nodes as a replay does, once in a process, without writing anything that stays.

    Where kernels have to be compiled, which takes long, also with those records that are less usual.
    """
    if kernels_are_kept():
        _run(GENERIC_T3)
        return
    for kind in (GENERIC_T3, GENERIC_T2):
        _run(kind)
    for kind in BY_NAME.values():
        decode(np.empty(0, np.uint32), kind, new_carry())
    all_are_kept()


def _run(kind: RecordType) -> None:
    with tempfile.TemporaryDirectory(prefix="photonstream-") as folder:
        path = Path(folder) / "made_up.ptu"
        t3 = kind.mode == "T3"
        with PtuWriter(
            path,
            record_type=kind,
            macrotime_unit_s=_PERIOD_S if t3 else _TICK_S,
            dtime_resolution_s=_BIN_S if t3 else _TICK_S,
            sync_rate_hz=1.0 / _PERIOD_S,
        ) as writer:
            writer.write(made_up(kind))
            writer.close(_SECONDS)
        InlineRunner(standard({"source": {"path": str(path)}})).run()


def made_up(kind: RecordType) -> NDArray[np.uint32]:
    """Records of an emitter that is bright and dim in turns, on two inputs; generic ones, T3 or T2."""
    rng = np.random.default_rng(1)
    turns = np.arange(round(_SECONDS / _TURN_S))
    photons = rng.poisson(np.where(turns % 2, _RATES_HZ[1], _RATES_HZ[0]) * _TURN_S)
    time_s = (np.repeat(turns, photons) + rng.random(photons.sum())) * _TURN_S
    pulse = np.unique((time_s / _PERIOD_S).astype(np.int64))
    delay_s = rng.exponential(_LIFETIME_S, len(pulse)) % _PERIOD_S
    word = rng.integers(0, 2, len(pulse)) << 25
    time = pulse
    if kind.mode == "T3":
        word |= (delay_s / _BIN_S).astype(np.int64) << 10
    else:
        # The laser pulse before each photon, then the photon.
        fired = pulse * round(_PERIOD_S / _TICK_S)
        time = np.stack([fired, fired + (delay_s / _TICK_S).astype(np.int64)], axis=1).ravel()
        word = np.stack([np.full_like(word, 1 << 31), word], axis=1).ravel()
    wraps = np.diff(time // kind.wrap_ticks, prepend=0)
    overflows = (1 << 31) | (63 << 25) | wraps
    places = np.flatnonzero(wraps)
    return np.insert(word | time % kind.wrap_ticks, places, overflows[places]).astype(np.uint32)
