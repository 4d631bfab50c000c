"""The instrument response as people have it: a width, a recording, two columns of text."""

import hashlib
import os

import numpy as np
import pytest

from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.inference.irf import GaussianIrf, MeasuredIrf, fwhm_s
from photonstream.nodes.inference.tail import FittedTail, TailedIrf
from photonstream.nodes.irf_files import irf_checksum, load_irf
from photonstream.nodes.kernels.encode import encode_t3, new_carry, t3_capacity
from photonstream.nodes.pipeline import standard
from photonstream.stream.node import ParameterError
from photonstream.stream.runner import InlineRunner

FWHM_S = 0.4e-9
SIGMA_S = FWHM_S / 2.3548


def test_a_width_is_a_gaussian():
    assert load_irf(1e-10) == GaussianIrf(1e-10)


def test_a_width_with_a_tail():
    for text, figures in (
        ("0.1ns+10%@0.3ns", (1e-10, 0.1, 3e-10)),
        ("90 ps + 12.5 % @ 250ps", (9e-11, 0.125, 2.5e-10)),
    ):
        irf = load_irf(text)
        assert isinstance(irf, TailedIrf)
        assert (irf.fwhm_s, irf.tail_share, irf.tail_s) == pytest.approx(figures)
    assert load_irf("tail") == FittedTail()
    for wrong in ("0.1ns+0%@0.3ns", "0.1ns+95%@0.3ns", "0.1ns+10%@0ns"):
        with pytest.raises(ParameterError, match=wrong.replace("+", r"\+")):
            load_irf(wrong)


def test_a_file_may_bear_the_name_of_a_response(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{0.1 * i:.1f} {1000 if i == 20 else 1}" for i in range(64)]
    for name in ("tail", "0.1ns+10%@0.3ns"):
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        assert not isinstance(load_irf(name), MeasuredIrf)
        assert isinstance(load_irf(f"./{name}"), MeasuredIrf)


def test_the_checksum_is_that_of_the_file_as_it_is_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0.1ns").write_text("0 1\n", encoding="utf-8")
    path = tmp_path / "irf.txt"
    for k, content in enumerate(("0 1\n", "0 2\n")):
        path.write_text(content, encoding="utf-8")
        # Two writes may fall into one tick of the file system's clock.
        os.utime(path, ns=(k, k))
        assert irf_checksum(str(path)) == hashlib.sha256(content.encode()).hexdigest()
    for no_file in (
        None,
        1e-10,
        "tail",
        "0.1ns+10%@0.3ns",
        "0.1ns",
        str(tmp_path / "no_such_file.txt"),
        str(tmp_path),
    ):
        assert irf_checksum(no_file) is None


def test_two_columns_of_text(tmp_path):
    path = tmp_path / "irf.txt"
    time_ns = np.arange(0, 50, 0.016)
    counts = np.round(1e4 * np.exp(-0.5 * ((time_ns - 5) * 1e-9 / SIGMA_S) ** 2) + 20)
    rows = "\n".join(f"{t:.4f}, {c:.0f}" for t, c in zip(time_ns, counts, strict=True))
    path.write_text(f"time (ns), counts\n{rows}\n", encoding="utf-8")
    irf = load_irf(str(path))
    assert isinstance(irf, MeasuredIrf)
    assert irf.bin_width_s == pytest.approx(16e-12)
    assert fwhm_s(irf.shares[0], irf.bin_width_s) == pytest.approx(FWHM_S, rel=0.03)
    # The background of 20 counts a bin, six times the peak's photons in all, is gone.
    far = np.abs(time_ns - 5) > 2
    assert irf.shares[0][far].sum() < 1e-3


def record(path, delay_s, channel, seed=1):
    """A T3 recording of photons at these delays, in these channels, at random pulses of 5 MHz."""
    nsync = np.sort(np.random.default_rng(seed).integers(0, 5_000_000, len(delay_s)))
    carry = new_carry()
    out = np.empty(t3_capacity(len(delay_s), 5_000_000, carry), np.uint32)
    dtime = (delay_s % 2e-7 / 16e-12).astype(np.uint16)
    used = encode_t3(nsync, dtime, channel.astype(np.uint8), 5_000_000, carry, out)
    with PtuWriter(
        path, record_type=GENERIC_T3, macrotime_unit_s=2e-7, dtime_resolution_s=16e-12, sync_rate_hz=5e6
    ) as writer:
        writer.write(out[:used])
    return str(path)


def response(path, channels, stray=()):
    """A recording of the response, with a cable of 0.5 ns a channel, and single photons in ``stray`` channels."""
    rng = np.random.default_rng(1)
    channel = np.concatenate([rng.choice(channels, 40_000), np.array(stray, int)])
    return record(path, rng.normal(5e-9, SIGMA_S, len(channel)) + channel * 0.5e-9, channel)


def decay(path, channels, stray=()):
    """A recording of a single exponential, likewise."""
    rng = np.random.default_rng(2)
    channel = np.concatenate([rng.choice(channels, 40_000), np.array(stray, int)])
    jitter_s = rng.normal(5e-9, SIGMA_S, len(channel)) + channel * 0.5e-9
    return record(path, rng.exponential(20e-9, len(channel)) + jitter_s, channel, seed=3)


def fitted(recording, irf):
    runner = InlineRunner(standard({"source": {"path": recording}, "lifetime": {"irf": irf}}))
    return runner.run().results["results", "result"].value["fit"]


def test_a_response_with_a_tail_reaches_the_result(tmp_path):
    recording = decay(tmp_path / "nc.ptu", [0, 1])
    given = fitted(recording, "0.4ns+0.5%@0.3ns")
    assert given["irf_tail_share"] == {
        **{"value": 0.005, "stderr": None, "ci68": None, "ci95": None},
        "reason": "given",
    }
    assert given["irf_tail_s"]["value"] == pytest.approx(0.3e-9)
    assert given["irf_fwhm_s"]["value"] == pytest.approx(0.4e-9)
    free = fitted(recording, "tail")
    assert 0.0 <= free["irf_tail_share"]["value"] <= 0.5
    assert {c["fitted"] for c in free["channels"].values()} == {True}
    for fit in (given, free):
        assert fit["tau_x_s"]["value"] == pytest.approx(20e-9, rel=0.03)
    assert fitted(recording, None)["irf_tail_share"] is None


def test_a_recording_of_it_per_channel(tmp_path):
    irf = load_irf(response(tmp_path / "irf.ptu", [0, 1]))
    assert isinstance(irf, MeasuredIrf)
    assert irf.channels == (0, 1)
    peak_s = irf.shares.argmax(axis=1) * irf.bin_width_s
    assert peak_s[1] - peak_s[0] == pytest.approx(0.5e-9, abs=0.1e-9)
    assert fwhm_s(irf.shares[0], irf.bin_width_s) == pytest.approx(FWHM_S, rel=0.1)


def test_channels_are_matched_by_their_numbers(tmp_path):
    # Counted in order, channel 2 would get the response of channel 0, a nanosecond early.
    fit = fitted(decay(tmp_path / "nc.ptu", [2, 3]), response(tmp_path / "irf.ptu", [0, 2, 3]))
    assert fit["model"] == "mono"
    assert fit["tau_x_s"]["value"] == pytest.approx(20e-9, rel=0.03)
    t0_s = {channel: found["t0_s"]["value"] for channel, found in fit["channels"].items()}
    assert t0_s == pytest.approx({"2": 6e-9, "3": 6.5e-9}, abs=0.05e-9)
    assert fit["reason"] == ""


@pytest.mark.parametrize(
    ("decay_stray", "irf_stray", "words"),
    [
        ((5,), (), "channel 5 left out: 1 photon"),
        ((), (5,), "channel 5 of the IRF left out: 1 photon"),
        ((5,), (6,), "channel 5 left out: 1 photon; channel 6 of the IRF left out: 1 photon"),
    ],
)
def test_stray_photons_do_not_refuse_a_recording(tmp_path, decay_stray, irf_stray, words):
    recording = decay(tmp_path / "nc.ptu", [0, 1], decay_stray)
    fit = fitted(recording, response(tmp_path / "irf.ptu", [0, 1], irf_stray))
    assert fit["model"] == "mono"
    assert [c for c, v in fit["channels"].items() if v["fitted"]] == ["0", "1"]
    assert fit["reason"] == words


def test_a_channel_that_the_irf_lacks_is_left_out_in_one_sentence(tmp_path):
    fit = fitted(decay(tmp_path / "nc.ptu", [0, 1, 2]), response(tmp_path / "irf.ptu", [0, 1]))
    assert [c for c, v in fit["channels"].items() if v["fitted"]] == ["0", "1"]
    assert fit["reason"] == "channel 2 left out: the recording of the IRF has no response of it"


def test_a_response_of_one_channel_serves_all(tmp_path):
    fit = fitted(decay(tmp_path / "nc.ptu", [0, 1]), response(tmp_path / "irf.ptu", [0]))
    assert all(v["fitted"] for v in fit["channels"].values())
    assert fit["reason"] == "channel 1 is fitted with the response of channel 0"


def test_a_recording_without_a_response_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"irf\.ptu: no instrument response: channel 3"):
        load_irf(record(tmp_path / "irf.ptu", np.full(20, 5e-9), np.full(20, 3)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("hello\nworld\n", "at least 8 lines"),
        ("".join(f"{k} 1\n" for k in range(4)), "at least 8 lines"),
        ("".join(f"{k * k} 5\n" for k in range(20)), "equal steps"),
        ("".join(f"{20 - k} 5\n" for k in range(20)), "equal steps"),
        ("".join(f"{k} {k}\n" for k in range(10)) + "10 many\n", "line 11"),
        ("".join(f"{k} -5\n" for k in range(20)), "not negative"),
        ("".join(f"{k} 0\n" for k in range(20)), "does not stand out"),
        ("", "empty"),
    ],
)
def test_bad_text_is_refused_with_the_file_and_the_cause(tmp_path, content, words):
    path = tmp_path / "irf.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ParameterError, match=words) as refused:
        load_irf(str(path))
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("given", [0.0, -1e-10, "0.1 parsec", "nowhere.ptu"])
def test_what_is_neither_width_nor_file_is_refused(given):
    with pytest.raises(ParameterError):
        load_irf(given)


def test_a_width_is_taken_as_a_page_sends_it():
    for text in ("0.12ns", " 120 ps "):
        irf = load_irf(text)
        assert isinstance(irf, GaussianIrf)
        assert irf.fwhm_s == pytest.approx(0.12e-9)
    with pytest.raises(ParameterError, match="IRF"):
        load_irf("0ns")
