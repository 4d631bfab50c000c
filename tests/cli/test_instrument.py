"""``photonstream irf`` and ``photonstream background`` as they are typed."""

import json

import numpy as np
import pytest

from photonstream.cli.main import main
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T2, GENERIC_T3
from photonstream.nodes.kernels.encode import encode_t3, new_carry, t3_capacity

PULSES, PERIOD_S, RESOLUTION_S = 50_000_000, 2e-7, 64e-12


def record(path, nsync, delay_s, channel):
    carry = new_carry()
    out = np.empty(t3_capacity(len(nsync), PULSES, carry), np.uint32)
    order = np.argsort(nsync, kind="stable")
    dtime = (delay_s[order] % PERIOD_S / RESOLUTION_S).astype(np.uint16)
    used = encode_t3(nsync[order], dtime, channel[order].astype(np.uint8), PULSES, carry, out)
    with PtuWriter(
        path,
        record_type=GENERIC_T3,
        macrotime_unit_s=PERIOD_S,
        dtime_resolution_s=RESOLUTION_S,
        sync_rate_hz=1 / PERIOD_S,
    ) as writer:
        writer.write(out[:used])
    return str(path)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """10 s: channel 0 flat and steady, channel 2 half flat and half 0.5 ns wide at 20 ns, bright in its second half."""
    rng = np.random.default_rng(1)
    flat, other = rng.poisson(3_000), 6_000
    late = np.where(rng.random(other) < 0.7, PULSES // 2, 0)
    nsync = np.concatenate([rng.integers(0, PULSES, flat), rng.integers(0, PULSES // 2, other) + late])
    pulsed = rng.random(other) < 0.5
    delay_s = np.where(pulsed, rng.normal(20e-9, 0.5e-9 / 2.3548, other), rng.uniform(0, PERIOD_S, other))
    delay_s = np.concatenate([rng.uniform(0, PERIOD_S, flat), delay_s])
    channel = np.concatenate([np.zeros(flat, int), np.full(other, 2)])
    return record(tmp_path_factory.mktemp("instrument") / "scatter.ptu", nsync, delay_s, channel)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def near(value, truth, sigmas=4.0):
    return abs(value["value"] - truth) < sigmas * value["stderr"]


def test_the_response_is_printed_stored_and_drawn(recording, here, capsys):
    assert main(["irf", recording, "--excitation-nm", "640"]) == 0
    out = capsys.readouterr().out
    content = json.loads((here / "scatter.irf.json").read_text(encoding="utf-8"))
    assert (content["kind"], content["schema"], content["excitation_nm"]) == ("photonstream irf", 1, 640.0)
    source = content["source"]
    assert source["sync_rate_hz"] == pytest.approx(5e6)
    assert source["dtime_resolution_s"] == pytest.approx(RESOLUTION_S)
    assert source["created_from"] == "header"
    assert len(source["sha256"]) == 64
    two = content["channels"]["2"]
    assert two["rate_hz"] == pytest.approx(600, rel=0.001)
    assert near(two["peak_s"], 20e-9)
    assert near(two["fwhm_s"], 0.5e-9)
    assert near(two["background_rate_hz"], 300, 5)
    assert "reason" in content["channels"]["0"]
    assert "note: the IRF of channel 0 does not stand out of its background" in out
    for unit in ("cps", " ns", " ps", "640 nm", "5 MHz"):
        assert unit in out
    page = (here / "scatter.irf.html").read_text(encoding="utf-8")
    assert "Delay after the peak (ns)" in page
    assert "Counts per 64 ps" in page
    assert page.count("<h2>Channel") == 1


def test_what_glows_is_no_response(here, capsys):
    rng = np.random.default_rng(2)
    photons = 20_000
    nsync, delay_s = rng.integers(0, PULSES, photons), 20e-9 + rng.exponential(10e-9, photons)
    dye = record(here / "dye.ptu", nsync, delay_s, np.zeros(photons, int))
    assert main(["irf", dye]) == 0
    assert "not the response of an instrument" in capsys.readouterr().out


def test_the_background_is_printed_and_stored(recording, here, capsys):
    assert main(["background", recording]) == 0
    out = capsys.readouterr().out
    channels = json.loads((here / "scatter.background.json").read_text(encoding="utf-8"))["channels"]
    assert near(channels["0"]["rate_hz"], 300)
    assert channels["0"]["pulsed_share"] is None
    assert channels["0"]["pulsed_upper95"] < 0.15
    assert channels["0"]["steadiness"]["steady"]
    # The recording ends with its last photon, just short of ten bins.
    assert channels["0"]["steadiness"]["bins"] == 9
    assert near(channels["2"]["pulsed_share"], 0.5)
    assert channels["2"]["pulsed_peak_s"] == pytest.approx(20e-9, abs=0.3e-9)
    assert channels["2"]["steadiness"]["steady"] is False
    assert "note: channel 0: nothing that follows the laser stands out" in out


@pytest.mark.parametrize("command", ["irf", "background"])
def test_nothing_is_written_over_unless_it_is_said(command, recording, here, capsys):
    place = here / f"scatter.{command}.json"
    place.write_text("mine", encoding="utf-8")
    assert main([command, recording]) == 2
    assert f"scatter.{command}.json: is there already" in capsys.readouterr().err
    assert place.read_text(encoding="utf-8") == "mine"
    assert main([command, recording, "--force"]) == 0
    assert json.loads(place.read_text(encoding="utf-8"))["kind"] == f"photonstream {command}"
    assert main([command, recording, "--out", recording, "--force"]) == 2
    assert "is the recording itself" in capsys.readouterr().err


def t2(path, words=()):
    with PtuWriter(
        path, record_type=GENERIC_T2, macrotime_unit_s=1e-12, dtime_resolution_s=1e-12, sync_rate_hz=0.0
    ) as writer:
        writer.write(np.array(words, np.uint32))
    return str(path)


def test_a_recording_without_pulses(here, capsys):
    # 40 photons of channel 0, a microsecond apart
    words = [k * 500_000 for k in range(1, 41)]
    recording = t2(here / "dark.ptu", words)
    assert main(["irf", recording]) == 2
    said = capsys.readouterr().err
    assert "dark.ptu: this recording holds no delays after laser pulses" in said
    assert said.count("\n") == 1
    assert main(["background", recording]) == 0
    assert "the recording holds no laser pulses" in capsys.readouterr().out
    assert not (here / "dark.irf.json").exists()


@pytest.mark.parametrize("command", ["irf", "background"])
def test_what_cannot_be_is_one_sentence(command, here, capsys):
    (here / "text.txt").write_text("hello\n", encoding="utf-8")
    for file in ("nowhere.ptu", "text.txt", t2(here / "empty.ptu")):
        assert main([command, file]) == 2
        said = capsys.readouterr().err
        assert file in said
        assert said.count("\n") == 1
    with pytest.raises(SystemExit):
        main([command, "text.txt", "--excitation-nm", "-3"])


def test_a_real_source_of_short_pulses(real_data, here):
    (file,) = (real_data / "hbt_hydraharp2_ptu").glob("*.timeres")
    assert main(["irf", str(file), "--out", "hbt.json"]) == 0
    channels = json.loads((here / "hbt.json").read_text(encoding="utf-8"))["channels"]
    for channel in ("0", "1"):
        assert 100e-12 < channels[channel]["fwhm_s"]["value"] < 250e-12
        assert 0.1 < channels[channel]["tail_share"]["value"] < 0.25


def test_the_wavelength_of_the_experiment_reaches_the_fit(recording, here, capsys):
    assert main(["irf", recording, "--excitation-nm", "640"]) == 0
    (here / "meta.toml").write_text("excitation_nm = 355\n", encoding="utf-8")
    options = ["--headless", "--placement", "inline", "--irf", "scatter.irf.json", "--meta", "meta.toml"]
    assert main(["replay", recording, "--out", "out", *options]) == 0
    result = json.loads((here / "out" / "result.json").read_text(encoding="utf-8"))
    assert "the IRF was taken at 640 nm, the excitation is 355 nm" in result["fit"]["reason"]
    assert result["experiment"]["excitation_nm"] == 355
