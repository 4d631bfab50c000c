"""Recordings of real devices: the counts that are known of them, and what independent readers make of them."""

import ast
import csv
import os
from pathlib import Path

import numpy as np
import pytest

from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.kernels.decode import counts, decode, new_carry, watermark_ticks

DATA = Path(os.environ.get("PHOTONSTREAM_DATA", Path(__file__).parents[4] / "shared" / "data"))
PROVENANCE = DATA / "PROVENANCE.tsv"

pytestmark = pytest.mark.skipif(not PROVENANCE.exists(), reason="the recordings of real devices are not here")

HBT = "hbt_hydraharp2_ptu/200213_HH400_T3_80MHz_HBT.timeres"
BEADS, HAZELNUT = "flim_markers_ptu/beads.ptu", "flim_markers_ptu/hazelnut_z1.ptu"
HYDRAHARP_T2 = "hydraharp2_t2_ptu/hydraharp_v30_t2.ptu"
TIMEHARP_T2 = "timeharp260n_t2_ptu/default_000.ptu"
DYE = "fcs_picoharp_pt3/topfluorPE_2_1_1_1.pt3"


def known_recordings():
    if not PROVENANCE.exists():
        return []
    with PROVENANCE.open(newline="") as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if row["photons"]]
    return [row for row in rows if not row["file"].endswith(".spc")]


def decode_file(name):
    file = open_tag_file(DATA / name)
    carry = new_carry()
    events = decode(np.concatenate(list(file.blocks())), file.record_type, carry, channels=file.info.channels)
    return file, events, carry


def first_number(text):
    return float(text.split()[0])


@pytest.mark.parametrize("row", known_recordings(), ids=lambda row: row["file"].split("/")[1])
def test_known_counts(row):
    file, events, carry = decode_file(row["file"])
    found = counts(carry)
    assert file.records == found.records == int(first_number(row["records"]))
    assert (found.photons, found.markers) == (int(row["photons"]), int(row["markers"]))
    records, wraps = row["overflows"].split(" / ")
    assert found.overflows == int(first_number(records))
    assert found.overflow_wraps == int(first_number(wraps))
    assert found.syncs == (25 if row["file"].endswith("v20.ht2") else 0)
    assert (found.other, found.backwards) == (0, 0)

    # The table numbers a PicoHarp's channels from 1.
    shift = 1 if file.record_type.layout == "picoharp" else 0
    per_channel = dict(
        zip(*(array.tolist() for array in np.unique(events.channel, return_counts=True)), strict=True)
    )
    assert per_channel == {raw - shift: n for raw, n in ast.literal_eval(row["photons_per_channel"]).items()}


@pytest.mark.parametrize("row", known_recordings(), ids=lambda row: row["file"].split("/")[1])
def test_known_times(row):
    file, events, carry = decode_file(row["file"])
    info = file.info
    assert info.macrotime_unit_s == pytest.approx(float(row["macrotime_s"]), rel=1e-14)
    if info.mode == "T3":
        assert info.dtime_resolution_s == pytest.approx(float(row["dtime_s"]), rel=1e-14)
    assert info.sync_rate_hz == (float(row["sync_hz"]) or None)
    if row["duration_s"]:
        # The table gives the time of the last photon.
        last_photon_s = int(events.macrotime[-1]) * info.macrotime_unit_s
        figure = row["duration_s"].split()[0]
        digits = 6 if "e" in figure else len(figure.partition(".")[2])
        assert last_photon_s == pytest.approx(float(figure), abs=1.01 * 10**-digits)
        assert watermark_ticks(carry) >= int(events.macrotime[-1])


def test_time_of_the_last_record_of_any_kind():
    file, _, carry = decode_file("single_emitter_picoharp_pt3/trace3.pt3")
    assert watermark_ticks(carry) * file.info.macrotime_unit_s == pytest.approx(59.99966, abs=1e-5)
    assert watermark_ticks(carry) % 65536 == 0


@pytest.mark.parametrize("name", [BEADS, HAZELNUT, HBT, HYDRAHARP_T2, TIMEHARP_T2])
def test_ptufile_agrees(name):
    ptufile = pytest.importorskip("ptufile")
    file, events, _ = decode_file(name)
    with ptufile.PtuFile(DATA / name) as other:
        records = other.decode_records()
    photons, markers = records[records["channel"] >= 0], records[records["marker"] > 0]
    assert np.array_equal(photons["time"], events.macrotime)
    assert np.array_equal(photons["channel"], events.channel)
    if file.info.mode == "T3":
        assert np.array_equal(photons["dtime"], events.dtime)
    assert np.array_equal(markers["time"], events.marker_time)
    assert np.array_equal(markers["marker"], events.marker_bits)


@pytest.mark.parametrize(
    ("name", "container"), [(BEADS, "PTU"), (HBT, "PTU"), ("hydraharp_legacy/hydraharp_v20.ht3", "HT3")]
)
def test_tttrlib_agrees(name, container):
    tttrlib = pytest.importorskip("tttrlib")
    _, events, _ = decode_file(name)
    other = tttrlib.TTTR(str(DATA / name), container)
    photons = np.asarray(other.event_types) == 0
    assert np.array_equal(np.asarray(other.macro_times)[photons], events.macrotime)
    assert np.array_equal(np.asarray(other.micro_times)[photons], events.dtime)
    assert np.array_equal(np.asarray(other.routing_channels)[photons], events.channel)


def test_phconvert_agrees():
    pqreader = pytest.importorskip("phconvert.pqreader")
    _, events, _ = decode_file(DYE)
    times, detectors, dtimes = pqreader.load_pt3(str(DATA / DYE))[:3]
    photons = detectors != 15
    assert np.array_equal(times[photons], events.macrotime)
    assert np.array_equal(dtimes[photons], events.dtime)
    assert np.array_equal(detectors[photons] - 1, events.channel)


def test_histogram_published_with_the_recording():
    _, events, _ = decode_file(HBT)
    expected = np.load(DATA / "hbt_hydraharp2_ptu/expected_200213_HH400_T3_80MHz_lifetime.npz")["hist1"]
    found = np.bincount(events.dtime[events.channel == 0], minlength=expected.size)
    assert np.flatnonzero(found - expected).tolist() == [344]
    assert found[344] - expected[344] == 1


def test_trace_published_with_the_recording():
    h5py = pytest.importorskip("h5py")
    file, events, _ = decode_file(TIMEHARP_T2)
    with h5py.File(DATA / "timeharp260n_t2_ptu/default_000.hdf5") as published:
        expected = published["000.001000/count"][:]
    ticks_per_ms = round(1e-3 / file.info.macrotime_unit_s)
    assert np.array_equal(
        np.bincount((events.macrotime // np.uint64(ticks_per_ms)).astype(np.int64)), expected
    )


def test_photons_with_a_dtime_beyond_the_period_are_kept():
    file, events, _ = decode_file(DYE)
    period_bins = file.info.macrotime_unit_s / file.info.dtime_resolution_s
    assert np.count_nonzero(events.dtime > period_bins) == 20


def test_pieces_of_a_recording_join_without_a_seam():
    file, whole, whole_carry = decode_file(BEADS)
    carry = new_carry()
    pieces = [decode(block, file.record_type, carry) for block in file.blocks(1009)]
    assert np.array_equal(carry, whole_carry)
    assert np.array_equal(np.concatenate([piece.macrotime for piece in pieces]), whole.macrotime)
    assert np.array_equal(np.concatenate([piece.marker_time for piece in pieces]), whole.marker_time)


@pytest.mark.parametrize("ending", ["spc", "set", "asc", "npz", "hdf5"])
def test_other_files_are_refused(ending):
    files = list(DATA.glob(f"*/*.{ending}"))
    assert files
    for path in files:
        with pytest.raises(TagFileError, match="not a tag file"):
            open_tag_file(path)
