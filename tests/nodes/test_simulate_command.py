"""The subcommand ``simulate``."""

import argparse
import json
from pathlib import Path

import ptufile
import pytest

from photonstream.cli import simulate
from photonstream.nodes.simulate import PRESETS
from photonstream.nodes.simulate.presets import ONE_NANOCRYSTAL
from photonstream.stream.node import ParameterError


def call(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    simulate.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["simulate", *arguments])
    return int(parsed.run(parsed))


def parameters_in(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.with_name(f"{path.name}.truth.json").read_text())["parameters"]
    return found


def test_options_reach_the_simulation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ptu"
    options = ["--set", "dead_time_s=25ns", "--set", "efficiency=0.1,0.2", "--set", "background_hz=1k"]
    options += [
        "--set",
        "dwell_dim=1.5:10ms:1s",
        "--set",
        "dwell_charged=50ms",
        "--set",
        "one_photon_per_sync=yes",
    ]
    options += ["--set", "repetition_rate_hz=2MHz", "--set", "emitters=2", "--set", "t0_s=0"]
    assert call("640nm", "--out", str(path), "--time", "100ms", "--seed", "7", *options) == 0
    parameters = parameters_in(path)
    assert parameters["duration_s"] == 0.1
    assert parameters["seed"] == 7
    assert parameters["repetition_rate_hz"] == 2e6
    assert parameters["emitters"] == 2
    detector, blinking = parameters["detector"], parameters["blinking"]
    assert isinstance(detector, dict)
    assert isinstance(blinking, dict)
    assert detector["dead_time_s"] == pytest.approx(25e-9)
    assert detector["efficiency"] == [0.1, 0.2]
    assert detector["background_hz"] == [1000, 1000]
    assert detector["t0_s"] == [0, 0]
    assert detector["one_photon_per_sync"] is True
    assert blinking["dwell_dim"] == {"mean_s": 0.0, "alpha": 1.5, "shortest_s": 0.01, "longest_s": 1.0}
    assert blinking["dwell_charged"]["mean_s"] == 0.05
    assert "photons in 0.1 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mode", "device", "code"),
    [
        ("T3", "multiharp", 0x00010307),
        ("T2", "multiharp", 0x00010207),
        ("T3", "hydraharp2", 0x01010304),
        ("T2", "hydraharp2", 0x01010204),
    ],
)
def test_devices_and_modes(tmp_path: Path, mode: str, device: str, code: int) -> None:
    path = tmp_path / "x.ptu"
    call("--out", str(path), "--time", "10ms", "--mode", mode, "--device", device, "--blinking", "none")
    with ptufile.PtuFile(path) as file:
        assert file.tags["TTResultFormat_TTTRRecType"] == code
    assert parameters_in(path)["blinking"] is None


@pytest.mark.parametrize("turn", [1, -1])
def test_settings_are_checked_together_whatever_their_order(tmp_path: Path, turn: int) -> None:
    """There is no emitter of 10 ns with the tau_xx of the preset, 3.6 ns."""
    path = tmp_path / "x.ptu"
    wanted = ["tau_x_s=10ns", "tau_xx_s=0.8ns", "duration_s=1ms", "repetition_rate_hz=50M"][::turn]
    options = [word for each in wanted for word in ("--set", each)]
    assert call("355nm", "--out", str(path), *options) == 0
    emitter = parameters_in(path)["emitter"]
    assert isinstance(emitter, dict)
    assert (emitter["tau_x_s"], emitter["tau_xx_s"]) == pytest.approx((10e-9, 0.8e-9))


def test_the_runs_of_a_calibration_are_of_one_nanocrystal(capsys: pytest.CaptureFixture[str]) -> None:
    """As the list and the docs tell it, for the presets have the lifetimes of different published runs."""
    options = [word for each in ONE_NANOCRYSTAL for word in ("--set", each)]
    parser = argparse.ArgumentParser()
    simulate.add_parser(parser.add_subparsers())
    bright = simulate._parameters(parser.parse_args(["simulate", "640nm-n0.5", *options]))
    control, plain = (PRESETS[name].parameters for name in ("640nm", "640nm-n0.5"))
    assert plain.emitter != control.emitter
    assert (bright.emitter.tau_x_s, bright.emitter.tau_xx_s) == pytest.approx(
        (control.emitter.tau_x_s, control.emitter.tau_xx_s)
    )
    assert bright.mean_n == 0.5
    assert call("640nm", "--list") == 0
    assert " ".join(options) in capsys.readouterr().out
    docs = (Path(__file__).parents[2] / "docs" / "result.md").read_text(encoding="utf-8")
    assert f"simulate 640nm-n0.5 {' '.join(options)}" in docs


def test_default_name_is_that_of_the_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call("640nm-n0.5", "--time", "1ms")
    call("640nm-n0.5", "--time", "1ms")
    assert (tmp_path / "640nm-n0.5.ptu").exists()


def test_a_real_recording_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.ptu"
    path.write_bytes(b"precious")
    with pytest.raises(ParameterError, match="not overwritten"):
        call("--out", str(path))
    assert path.read_bytes() == b"precious"


def test_list_names_everything_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("--list") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in (*PRESETS, "power-law", "dead_time_s", "dwell_dim", "tau_xx_s"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--seed", "-1"],
        ["--set", "no_such=1"],
        ["--set", "tau_xx_s=40ns"],
        ["--set", "efficiency=1,2,3"],
        ["--set", "seed=1.5"],
        ["--set", "dwell_dim=1:2"],
        ["--set", "one_photon_per_sync=perhaps"],
        ["--set", "dead_time_s=soon"],
        ["--blinking", "none", "--set", "yield_dim=0.1"],
    ],
)
def test_bad_values_are_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(ParameterError) as caught:
        call(*arguments, "--out", str(tmp_path / "x.ptu"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.ptu").exists()
