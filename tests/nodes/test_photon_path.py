"""The photon path as a whole: any split of the recording gives the same results, and known photons their figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes import intensity
from photonstream.nodes.delays import with_delays
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import BY_NAME, GENERIC_T3, RECORD_TYPES
from photonstream.nodes.inference.rows import levels_of, selected
from photonstream.nodes.kernels.encode import encode_t3, new_carry, t3_capacity
from photonstream.nodes.pipeline import branches, photon_path
from photonstream.nodes.recording_events import GAP, RecordingEvent, events_path
from photonstream.nodes.trace import assemble
from photonstream.stream.node import NodeError
from photonstream.stream.runner import InlineRunner
from photonstream.stream.topology import Topology

SYNC_HZ = 5e6
RESOLUTION_S = 80e-12


def run(path, **parameters):
    """The photon path and its branches over a file; parameters by node."""
    given_to = {**parameters, "source": {"path": str(path), **parameters.get("source", {})}}
    return InlineRunner(Topology((*photon_path(given_to).nodes, *branches(given_to)))).run()


def write(path, records, record_type=GENERIC_T3):
    with PtuWriter(
        path,
        record_type=record_type,
        macrotime_unit_s=1 / SYNC_HZ if record_type.mode == "T3" else 1e-9,
        dtime_resolution_s=RESOLUTION_S if record_type.mode == "T3" else 1e-9,
        sync_rate_hz=SYNC_HZ,
    ) as writer:
        writer.write(np.asarray(records, np.uint32))


def say_gaps(path, *gaps):
    """Events of gaps (record, records that stand for it) beside ``path``."""
    more = [(record, {"cause": "FIFO overrun", "inserted_records": inserted}) for record, inserted in gaps]
    lines = [RecordingEvent(record, GAP, "lost", "", each).to_json() + "\n" for record, each in more]
    events_path(path).write_text("".join(lines), encoding="utf-8")


def t3_records(nsync, dtime, channel, end):
    carry = new_carry()
    nsync = np.asarray(nsync, np.int64)
    out = np.empty(t3_capacity(len(nsync), end, carry), np.uint32)
    n = encode_t3(nsync, np.asarray(dtime, np.uint16), np.asarray(channel, np.uint8), end, carry, out)
    return out[:n]


def whole_trace(outcome):
    return assemble(
        {key: result.value for (node, key), result in outcome.results.items() if node == "intensity"}
    )


def values(outcome):
    return {f"{node}/{key}": dict(result.value) for (node, key), result in outcome.results.items()}


words = st.one_of(
    st.integers(0, 2**32 - 1),
    # Photons close to each other in time, wraps of one, and in T2 laser pulses: what a recording is made of.
    st.builds(
        lambda t, d, c: (c << 25) | (d << 10) | t,
        st.integers(0, 1023),
        st.integers(0, 3000),
        st.integers(0, 1),
    ),
    st.just((1 << 31) | (63 << 25) | 1),
    st.builds(lambda t: (1 << 31) | t, st.integers(0, 1023)),
)


@pytest.fixture(scope="module", autouse=True)
def short_recordings():
    """Random words wrap far: with fewer bins allowed, the corrupt ones are refused before they cost a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intensity, "MOST_BINS", 100_000)
        yield


@pytest.mark.parametrize("kind", [k.name for k in RECORD_TYPES])
@settings(max_examples=25)
@given(
    records=st.lists(words, max_size=60),
    chunk=st.integers(1, 61),
    bin_ticks=st.integers(1, 10**9),
    gaps=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), max_size=3),
)
def test_any_split_gives_the_same_results(tmp_path_factory, same, kind, records, chunk, bin_ticks, gaps):
    record_type = BY_NAME[kind]
    path = tmp_path_factory.mktemp("split") / "x.ptu"
    write(path, records, record_type)
    say_gaps(path, *gaps)
    unit_s = 1 / SYNC_HZ if record_type.mode == "T3" else 1e-9
    parameters = {"intensity": {"bin_s": bin_ticks * unit_s}}
    try:
        whole = run(path, **parameters)
    except NodeError:
        # Random T2 words wrap to months; such a recording is refused whole and in pieces.
        with pytest.raises(NodeError, match=r"records are corrupt"):
            run(path, source={"chunk_records": chunk}, **parameters)
        return
    pieces = run(path, source={"chunk_records": chunk}, **parameters)
    same(values(whole), values(pieces))
    assert whole.imbalances == []


def test_photons_made_by_hand_come_out_where_they_belong(tmp_path):
    # Bins of 1000 sync periods (0.2 ms): 2 photons, none, 1 on the first tick of its bin, 1 in a bin cut short.
    path = tmp_path / "hand.ptu"
    write(path, t3_records([0, 999, 2000, 3400], [10, 30, 50, 2600], [0, 1, 1, 0], 3500))
    outcome = run(path, intensity={"bin_s": 1000 / SYNC_HZ})
    trace = whole_trace(outcome)
    np.testing.assert_array_equal(trace["counts"], [[1, 1], [0, 0], [0, 1], [1, 0]])
    # Time is told by the last record, the photon at 3400: the wrap before the end stands at 3072.
    assert trace["end_s"] == pytest.approx(3401 / SYNC_HZ)
    assert outcome.results["decode", "counts"].value["duration_s"] == pytest.approx(3400 / SYNC_HZ)
    rows = outcome.results["decay", "rows"].value
    assert levels_of(rows["labels"]).tolist() == [0, 4, 5]  # floor(4 sqrt(n)) of 0, 1 and 2
    assert rows["counts"].shape == (3, 2, 2500)
    at = {(int(r), int(c), int(d)): int(rows["counts"][r, c, d]) for r, c, d in np.argwhere(rows["counts"])}
    assert at == {(2, 0, 10): 1, (2, 1, 30): 1, (1, 1, 50): 1}
    # dtime 2600 lies beyond the period of 2500 TCSPC bins: counted, not in the decay.
    assert rows["beyond"].tolist() == [[0, 0], [1, 0], [0, 0]]
    assert rows["channels"].tolist() == [0, 1]
    assert outcome.ledger["decay"]["ended"] == {"histogram": 3, "beyond_period": 1}
    assert outcome.imbalances == []


def test_the_time_of_a_gap_is_no_dark_time(tmp_path):
    # Bins of 1024 sync periods. Wraps at 1024, ..., 9216; those of the records 2 to 6 stand for a gap.
    path = tmp_path / "gap.ptu"
    everything = (0, 1 << 60)
    photon, wrap = (10 << 10) | 10, (1 << 31) | (63 << 25) | 1
    write(path, [photon, *[wrap] * 9, photon])

    def looked_s(*gaps):
        say_gaps(path, *gaps)
        outcome = run(path, intensity={"bin_s": 1024 / SYNC_HZ}, states={"method": "window"})
        assert whole_trace(outcome)["bins"] == 10
        notes = outcome.results["decode", "counts"].value["notes"]
        assert [note.split()[0] for note in notes] == (["2"] if gaps == (everything,) else [])
        return outcome.results["states", "selection"].value["recorded_s"] * SYNC_HZ / 1024

    whole = looked_s()
    assert looked_s((2, 5)) == pytest.approx(whole - 5)
    # In pieces, twice, and beyond the end.
    assert looked_s((2, 2), (4, 3), (3, 4)) == pytest.approx(whole - 5)
    # Where photons are nobody can have been blind.
    assert looked_s(everything) == pytest.approx(whole - 8)


def test_a_dark_detector_still_moves_time_on(tmp_path):
    path = tmp_path / "dark.ptu"
    write(path, t3_records([], [], [], round(SYNC_HZ)))
    outcome = run(path)
    assert outcome.results["intensity", "trace"].value["bins"] == 100
    assert outcome.results["decode", "counts"].value["duration_s"] == pytest.approx(1.0, abs=1024 / SYNC_HZ)


def blinking(path, rates_hz, seconds=8.0, seed=3):
    """A trace that changes its rate every 0.25 s; photons of the k-th rate have dtime 100 (k + 1)."""
    rng = np.random.default_rng(seed)
    step = round(0.25 * SYNC_HZ)
    nsync, dtime = [], []
    for k in range(round(seconds / 0.25)):
        which = k % len(rates_hz)
        n = rng.poisson(rates_hz[which] * 0.25)
        nsync.append(np.sort(rng.integers(k * step, (k + 1) * step, n)))
        dtime.append(np.full(n, 100 * (which + 1)))
    nsync, dtime = np.concatenate(nsync), np.concatenate(dtime)
    write(path, t3_records(nsync, dtime, rng.integers(0, 2, len(nsync)), round(seconds * SYNC_HZ)))


def selected_dtimes(outcome):
    rows = outcome.results["decay", "rows"].value
    on = selected(outcome.results["states", "selection"].value, rows["labels"])
    counts = rows["counts"][on].sum(axis=(0, 1))
    return {int(d): int(counts[d]) for d in np.flatnonzero(counts)}


def test_the_brightest_level_is_found_and_only_its_photons_are_selected(tmp_path):
    path = tmp_path / "blinking.ptu"
    blinking(path, (40e3, 5e3))
    outcome = run(path, states={"method": "window"})
    selection = outcome.results["states", "selection"].value
    off, on = selection["levels"]
    assert (off["on"], on["on"]) == (False, True)
    assert on["rate_hz"] == pytest.approx(40e3, rel=0.01)
    assert off["rate_hz"] == pytest.approx(5e3, rel=0.02)
    assert on["time_share"] == pytest.approx(0.5, abs=0.002)
    rows = outcome.results["decay", "rows"].value
    assert with_delays(rows, selection, {})[1]["mean_dtime_s"] == pytest.approx(100 * RESOLUTION_S)
    assert set(selected_dtimes(outcome)) == {100}
    assert selection["on_photons"] == selected_dtimes(outcome)[100] == on["photons"]


@pytest.mark.parametrize("method", ["window", "hmm"])
def test_a_given_window_selects_between_its_rates(tmp_path, method):
    path = tmp_path / "three.ptu"
    blinking(path, (40e3, 5e3, 90e3))
    outcome = run(path, states={"on": (25e3, 65e3), "method": method})
    selection = outcome.results["states", "selection"].value
    assert set(selected_dtimes(outcome)) == {100}
    assert [level["on"] for level in selection["levels"]] == [False, True, False]
    low, high = selection["window_hz"]
    # Half a Poisson width of the counts of a bin is the most by which the window may be narrower.
    assert 25e3 <= low <= 25e3 + 0.5 * np.sqrt(25e3 / 0.01) + 100
    assert 65e3 + 100 >= high >= 65e3 - 0.5 * np.sqrt(65e3 / 0.01) - 100


@pytest.mark.parametrize("rates_hz", [(30e3,), (200.0,), (30e3, 29e3)])
def test_a_trace_with_one_level_selects_every_bin(tmp_path, rates_hz):
    path = tmp_path / "steady.ptu"
    blinking(path, rates_hz)
    outcome = run(path, states={"method": "window"})
    selection = outcome.results["states", "selection"].value
    assert len(selection["levels"]) == 1
    assert selection["on_photons"] == outcome.results["decode", "counts"].value["photons"]


def test_the_window_moves_without_another_look_at_the_photons(same, tmp_path):
    # The rows of the decay do not depend on the choice: any window is a sum of rows.
    path = tmp_path / "blinking.ptu"
    blinking(path, (40e3, 5e3))
    automatic, given_window = run(path), run(path, states={"on": (1e3, 10e3)})
    same(dict(automatic.results["decay", "rows"].value), dict(given_window.results["decay", "rows"].value))
    assert set(selected_dtimes(given_window)) == {200}


def test_a_last_bin_cut_short_is_no_level_of_its_own(tmp_path):
    # 800 bins of 300 photons and 0.2 ms of the next one: few photons, but only for want of time.
    path = tmp_path / "cut.ptu"
    rng = np.random.default_rng(6)
    end = round(8.0002 * SYNC_HZ)
    nsync = np.append(np.sort(rng.integers(0, end, round(30e3 * 8.0002))), end)
    write(path, t3_records(nsync, np.full(len(nsync), 100), rng.integers(0, 2, len(nsync)), end))
    outcome = run(path)
    trace = whole_trace(outcome)
    assert trace["counts"][-1].sum() < 30 < 200 < trace["counts"][:-1].sum(axis=1).min()
    selection = outcome.results["states", "selection"].value
    assert [level["on"] for level in selection["levels"]] == [True]
    assert selection["on_photons"] == len(nsync)
    # Its time is what it lasted, not a whole bin.
    assert selection["on_time_s"] == pytest.approx(8.0002, abs=1e-5)
