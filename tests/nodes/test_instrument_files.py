"""A stored response comes back as it was measured, and warns where an experiment is unlike the one it was taken in."""

import json
from pathlib import Path

import numpy as np
import pytest

from photonstream.cli.main import main
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.irf_files import load_irf
from photonstream.nodes.kernels.encode import encode_t3, new_carry, t3_capacity
from photonstream.nodes.pipeline import standard
from photonstream.stream.node import ParameterError
from photonstream.stream.runner import InlineRunner

SIGMA_S = 0.17e-9


def record(path, delay_s, channel, seed=1, period_s=2e-7, resolution_s=64e-12, duration_s=1.0):
    """A T3 recording of photons at these delays, in these channels, at random pulses."""
    pulses = int(duration_s / period_s)
    nsync = np.sort(np.random.default_rng(seed).integers(0, pulses, len(delay_s)))
    carry = new_carry()
    out = np.empty(t3_capacity(len(delay_s), pulses, carry), np.uint32)
    dtime = (delay_s % period_s / resolution_s).astype(np.uint16)
    used = encode_t3(nsync, dtime, channel.astype(np.uint8), pulses, carry, out)
    with PtuWriter(
        path,
        record_type=GENERIC_T3,
        macrotime_unit_s=period_s,
        dtime_resolution_s=resolution_s,
        sync_rate_hz=1 / period_s,
    ) as writer:
        writer.write(out[:used])
    return str(path)


def response(path, photons=40_000, centre_s=5e-9, **options):
    """A recording of the response in channels 0 and 1, the second 0.5 ns late."""
    rng = np.random.default_rng(1)
    channel = rng.integers(0, 2, photons)
    return record(path, rng.normal(centre_s, SIGMA_S, photons) + channel * 0.5e-9, channel, **options)


@pytest.fixture(scope="module")
def decay(tmp_path_factory):
    """A single exponential of 20 ns, 40 kcps in two channels at 5 MHz."""
    rng = np.random.default_rng(2)
    channel = rng.integers(0, 2, 40_000)
    delay_s = rng.exponential(20e-9, 40_000) + rng.normal(5e-9, SIGMA_S, 40_000) + channel * 0.5e-9
    return record(tmp_path_factory.mktemp("decay") / "nc.ptu", delay_s, channel, seed=3)


def stored(tmp_path, recording, *options):
    out = tmp_path / "x.irf.json"
    assert main(["irf", recording, "--out", str(out), *options]) == 0
    return str(out)


def fitted(recording, irf, **lifetime):
    nodes = standard({"source": {"path": recording}, "lifetime": {"irf": irf, **lifetime}})
    return InlineRunner(nodes).run().results["results", "result"].value["fit"]


@pytest.mark.parametrize("centre_s", [5e-9, 0.0, 199.9e-9], ids=["middle", "start", "end"])
def test_it_comes_back_to_the_last_bit(tmp_path, centre_s):
    recording = response(tmp_path / "x.ptu", centre_s=centre_s)
    direct, again = load_irf(recording), load_irf(stored(tmp_path, recording, "--excitation-nm", "355"))
    assert np.array_equal(direct.shares, again.shares)
    assert (direct.bin_width_s, direct.channels, direct.notes) == (
        again.bin_width_s,
        again.channels,
        again.notes,
    )
    assert again.taken.excitation_nm == 355.0
    assert again.taken.pulse_period_s == pytest.approx(2e-7)
    assert again.taken.rates_hz == pytest.approx({0: 20_000, 1: 20_000}, rel=0.03)


def test_a_text_comes_back_for_every_channel(tmp_path):
    path = tmp_path / "irf.txt"
    time_ns = np.arange(0, 50, 0.016)
    counts = np.round(1e4 * np.exp(-0.5 * ((time_ns - 5) * 1e-9 / SIGMA_S) ** 2) + 20)
    path.write_text("\n".join(f"{t:.4f} {c:.0f}" for t, c in zip(time_ns, counts, strict=True)))
    direct, again = load_irf(str(path)), load_irf(stored(tmp_path, str(path)))
    assert np.array_equal(direct.shares, again.shares)
    assert again.channels == ()
    assert again.taken.rates_hz == {}
    assert again.taken.pulse_period_s is None


def test_the_stored_response_fits_as_the_recording_does(tmp_path, decay):
    recording = response(tmp_path / "x.ptu")
    direct, again = fitted(decay, recording), fitted(decay, stored(tmp_path, recording))
    assert again.pop("irf_sha256") != direct.pop("irf_sha256")
    assert again == direct
    assert again["reason"] == ""
    assert again["tau_x_s"]["value"] == pytest.approx(20e-9, rel=0.03)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"period_s": 1.9e-7},
            "the IRF was taken at a repetition rate of 5.263 MHz, this recording at 5 MHz",
        ),
        ({"resolution_s": 32e-12}, "a dtime resolution of 32 ps, this recording with 64 ps"),
        (
            {"photons": 400_000, "duration_s": 0.9},
            "IRF of channel 0 was taken at 2.22e+05 counts/s, the selected photons come at",
        ),
    ],
    ids=["repetition rate", "resolution", "count rate"],
)
@pytest.mark.parametrize("form", ["stored", "the recording itself"])
def test_unlike_circumstances_are_told(tmp_path, decay, options, words, form):
    recording = response(tmp_path / "x.ptu", **options)
    reason = fitted(decay, stored(tmp_path, recording) if form == "stored" else recording)["reason"]
    assert words in reason
    assert reason.count("the IRF") == (2 if "photons" in options else 1)


def test_another_wavelength_is_told_and_only_where_both_are_known(tmp_path, decay):
    irf = stored(tmp_path, response(tmp_path / "x.ptu"), "--excitation-nm", "640")
    assert fitted(decay, irf, excitation_nm=355.0)["reason"] == (
        "the IRF was taken at 640 nm, the excitation is 355 nm"
    )
    assert fitted(decay, irf, excitation_nm=640.0)["reason"] == ""
    assert fitted(decay, irf)["reason"] == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c | {"kind": "other"}, "not a stored IRF"),
        (lambda c: c | {"schema": 99}, "schema 99"),
        (lambda c: c | {"channels": {}}, "no channel has a response"),
        (lambda c: c | {"bins": 1 << 40}, "bins"),
        (
            lambda c: c | {"channels": {"0": {"response": {"first_bin": 0, "shares": [2.0]}, "rate_hz": 1}}},
            "sum",
        ),
        (lambda c: c | {"channels": 3}, "damaged"),
        (lambda c: c | {"excitation_nm": "blue"}, "damaged"),
        (lambda c: [c], "neither a tag file nor"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path, change, words):
    place = stored(tmp_path, response(tmp_path / "x.ptu", photons=4_000))
    content = change(json.loads(Path(place).read_text(encoding="utf-8")))
    Path(place).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ParameterError, match=words) as refused:
        load_irf(place)
    assert place in str(refused.value)
