"""A large tag file for the benchmarks: a blinking emitter on two detectors, HydraHarp v2 T3.

The photons are drawn from distributions rather than simulated one by one: here only their number counts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import HYDRAHARP_V2_T3
from photonstream.nodes.kernels.encode import encode_t3, new_carry, t3_capacity

SYNC_HZ = 4.75e6
RESOLUTION_S = 64e-12
ON_SHARE, OFF_SHARE = 1.4, 0.6
LIFETIME_S = 46.8e-9
SLICE_S = 0.5


def write_tags(path: Path, photons: int, seed: int = 1, mean_hz: float = 1e6) -> None:
    """Write a file of about ``photons`` photons at ``mean_hz``, on and off in turns of half a second."""
    rng = np.random.default_rng(seed)
    carry = new_carry()
    period_s = 1.0 / SYNC_HZ
    written, begin = 0, 0
    with PtuWriter(
        path,
        record_type=HYDRAHARP_V2_T3,
        macrotime_unit_s=period_s,
        dtime_resolution_s=RESOLUTION_S,
        sync_rate_hz=SYNC_HZ,
    ) as writer:
        pulses = round(SLICE_S * SYNC_HZ)
        turn = 0
        while written < photons:
            rate_hz = mean_hz * (OFF_SHARE if turn % 2 else ON_SHARE)
            n = int(rng.poisson(rate_hz * SLICE_S))
            nsync = np.sort(rng.integers(begin, begin + pulses, n, dtype=np.int64))
            delay_s = (3e-9 + rng.exponential(LIFETIME_S, n)) % period_s
            dtime = (delay_s / RESOLUTION_S).astype(np.uint16)
            channel = rng.integers(0, 2, n, dtype=np.uint8)
            begin += pulses
            records = np.empty(t3_capacity(n, begin, carry), np.uint32)
            used = encode_t3(nsync, dtime, channel, begin, carry, records)
            writer.write(records[:used])
            written += n
            turn += 1
        writer.close(begin * period_s)


if __name__ == "__main__":
    write_tags(Path(sys.argv[1]), int(sys.argv[2]))
