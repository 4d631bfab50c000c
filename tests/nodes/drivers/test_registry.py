"""How devices are found, and how their settings are given."""

from dataclasses import dataclass

import pytest

from photonstream.nodes import drivers
from photonstream.nodes.drivers import all_drivers, driver_class
from photonstream.nodes.drivers.base import Driver
from photonstream.nodes.drivers.settings import make_settings, split_device, with_channels
from photonstream.nodes.drivers.simulated import Simulated
from photonstream.stream.node import ParameterError


class Entry:
    def __init__(self, name, load):
        self.name, self.value, self._load = name, f"somewhere:{name}", load

    def load(self):
        return self._load()


class Missing(Driver):
    summary = "a device whose library is not there"

    @classmethod
    def problem(cls):
        return "install the package harp of its vendor"


class Odd(Driver):
    @classmethod
    def problem(cls):
        raise OSError("no libusb")


def broken():
    raise ImportError("no module named harp")


@pytest.fixture
def registered(monkeypatch):
    class Entries(list):
        names = ("broken", "missing", "number", "odd")

        # By name, as `EntryPoints` has it.
        def __getitem__(self, name):
            return next(each for each in list(self) if each.name == name)

    entries = Entries(
        [
            Entry("odd", lambda: Odd),
            Entry("missing", lambda: Missing),
            Entry("number", lambda: 7),
            Entry("broken", broken),
        ]
    )
    monkeypatch.setattr(drivers, "entry_points", lambda group: entries)


def test_the_simulated_device_is_there():
    assert driver_class("simulated") is Simulated
    [found] = [each for each in all_drivers() if each.name == "simulated"]
    assert found.problem is None


@pytest.mark.usefixtures("registered")
def test_each_says_why_it_cannot_be_used():
    found = {each.name: each.problem for each in all_drivers()}
    assert list(found) == ["broken", "missing", "number", "odd"]
    assert "ImportError: no module named harp" in found["broken"]
    assert found["missing"] == "install the package harp of its vendor"
    assert "is registered as 7, which is no driver" in found["number"]
    assert "OSError: no libusb" in found["odd"]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("name", ["broken", "missing", "number", "odd", "none"])
def test_one_that_cannot_be_used_is_refused_with_the_reason(name):
    words = {"missing": "device missing: install the package harp", "none": "there is no device 'none'"}
    with pytest.raises(ParameterError, match=words.get(name, name)):
        driver_class(name)


@dataclass(frozen=True)
class Settings:
    binning: int = 0
    level_v: float = 0.1
    offsets_s: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self):
        if self.binning > 24:
            raise ValueError(f"binning is at most 24, not {self.binning}")


def test_settings_are_made_and_checked():
    made = make_settings(Settings, {"binning": 3, "offsets_s": (1e-9, 0)}, "harp")
    assert made == Settings(3, 0.1, (1e-9, 0))
    for given, words in [
        ({"bins": 1}, r"device harp has no setting 'bins' \(it has: binning, level_v, offsets_s\)"),
        ({"binning": "x"}, "device harp: binning cannot be 'x': it is a whole number"),
        ({"binning": 1.5}, "device harp: binning cannot be 1.5"),
        ({"binning": 25}, "device harp: binning is at most 24, not 25"),
    ]:
        with pytest.raises(ParameterError, match=words):
            make_settings(Settings, given, "harp")


def test_a_device_with_its_settings_in_one_word():
    assert split_device("harp") == ("harp", [])
    assert split_device("harp:binning=3, level_v=0.2") == ("harp", [("binning", "3"), ("level_v", "0.2")])
    with pytest.raises(ParameterError, match="'x' is not KEY=VALUE"):
        split_device("harp:x")


def test_channels_are_for_devices_that_can_choose_them():
    assert with_channels(Simulated.Settings, {}, [0], "simulated") == {"channels": (0,)}
    with pytest.raises(ParameterError, match="device harp always records all of its inputs"):
        with_channels(Settings, {}, [0], "harp")
