"""Stamps on their way down the line: each goes with its photons, and no result knows of them."""

from collections import defaultdict

import numpy as np
import pytest

from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.kernels.encode import encode_t3, new_carry, t3_capacity
from photonstream.nodes.pipeline import branches, photon_path
from photonstream.nodes.sources import Replay
from photonstream.stream.photon_loop import PhotonLoop, SourceLoop
from photonstream.stream.threads import ThreadsRunner
from photonstream.stream.topology import NodeSpec, Topology

SYNC_HZ = 5e6
FIRST = 10**12


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """20,000 photons in 2 s, of which every fourth 100 ms are dark."""
    rng = np.random.default_rng(3)
    nsync = np.sort(rng.integers(0, round(2 * SYNC_HZ), 20_000))
    nsync = nsync[(nsync // round(0.1 * SYNC_HZ)) % 4 != 3]
    out = np.empty(t3_capacity(len(nsync), round(2 * SYNC_HZ), new_carry()), np.uint32)
    dtime = rng.exponential(300, len(nsync)).astype(np.uint16) % 2400
    used = encode_t3(
        nsync, dtime, rng.integers(0, 2, len(nsync), np.uint8), round(2 * SYNC_HZ), new_carry(), out
    )
    path = tmp_path_factory.mktemp("stamps") / "run.ptu"
    with PtuWriter(
        path,
        record_type=GENERIC_T3,
        macrotime_unit_s=1 / SYNC_HZ,
        dtime_resolution_s=80e-12,
        sync_rate_hz=SYNC_HZ,
    ) as writer:
        writer.write(out[:used])
    return path


def run(path):
    given = {"source": {"path": str(path), "chunk_records": 150}}
    lifetime = NodeSpec("lifetime", "lifetime", ("states", "decay"), {})
    return ThreadsRunner(
        Topology((*photon_path(given).nodes, *branches(given), lifetime)), results_s=0.0
    ).run()


def test_each_stamp_goes_with_its_photons_and_results_do_not_know_of_it(recording, monkeypatch, same):
    plain = run(recording)
    assert all(result.stamp is None for result in plain.results.values())
    assert (plain.latency["taken"], plain.latency["published"]) == ({}, {})

    given = defaultdict(list)
    # A clock that shows the number of records: which photons a stamp goes with can be counted.
    monkeypatch.setattr(Replay, "_stamp", lambda self: FIRST + self._given)
    for loop in (SourceLoop, PhotonLoop):
        give = loop._give

        def keep(self, chunk, give=give):
            given[self._spec.name, self._epoch].append(chunk)
            give(self, chunk)

        monkeypatch.setattr(loop, "_give", keep)
    stamped = run(recording)
    records = stamped.results["source", "recording"].value["records_read"]
    # States learned at the end begin another epoch; the last one is whole.
    last = max(epoch for _, epoch in given)
    decoded = given["decode", last]
    assert [c.stamp for c in given["source", last]] == [
        c.stamp for c in decoded[: len(given["source", last])]
    ]
    for node in ("decode", "intensity", "states"):
        stamps = [chunk.stamp for chunk in given[node, last]]
        assert stamps == sorted(stamps)
        assert stamps[-1] == FIRST + records
        for chunk in given[node, last]:
            # It is that of the first decoded chunk which reaches the end of this one.
            of = next((d.stamp for d in decoded if d.stop >= chunk.stop), decoded[-1].stamp)
            assert chunk.stamp == of
            assert "stamp" not in chunk.columns
    assert {key for _, key in stamped.results} == {key for _, key in plain.results}
    for place, result in stamped.results.items():
        assert result.stamp == FIRST + records, place
        # The fits so far are as many as somebody looked, stamps or not.
        if place != ("lifetime", "history"):
            same(dict(result.value), dict(plain.results[place].value))
    assert {"source", "decode", "intensity", "states", "decay", "lifetime"} <= stamped.latency["taken"].keys()
    assert "lifetime" in stamped.latency["published"]
