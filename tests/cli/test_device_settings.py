"""Settings of a device: read as they are typed, told to its recorder exactly, and changed for its next recording."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.cli.device_settings import Device, read_setting, write_setting
from photonstream.stream.node import ParameterError

times = st.floats(allow_nan=False, allow_infinity=False)


@dataclass(frozen=True)
class Settings:
    serial: str = ""
    channels: tuple[int, ...] | None = None
    binning: int = 0
    holdoff_s: float | None = None
    offset_s: tuple[float, ...] | None = (0.0,)
    filtered: bool = True

    def __post_init__(self):
        if self.binning > 24:
            raise ValueError(f"binning is at most 24, not {self.binning}")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("serial", "1045", "1045"),
        ("serial", "none", "none"),
        ("serial", "", ""),
        ("channels", "0, 1", (0, 1)),
        ("channels", "1,", (1,)),
        ("channels", "", None),
        ("holdoff_s", "25ns", pytest.approx(25e-9)),
        ("holdoff_s", "none", None),
        ("offset_s", "1ns,2ns", pytest.approx((1e-9, 2e-9))),
        ("offset_s", "1ns,", pytest.approx((1e-9,))),
        ("filtered", "false", False),
        ("filtered", "perhaps", "perhaps"),
    ],
)
def test_what_is_typed(key, text, value):
    assert read_setting(Settings, key, text) == value


def test_a_unit_that_is_none_is_refused():
    with pytest.raises(ParameterError, match=r"--set holdoff_s: '25 furlongs' is not a time"):
        read_setting(Settings, "holdoff_s", "25 furlongs")
    # What there is no such setting of is found out later.
    with pytest.raises(ParameterError, match="nothing_s: '' is not a time"):
        read_setting(Settings, "nothing_s", "")


@given(
    st.builds(
        dict,
        serial=st.text(),
        channels=st.none() | st.lists(st.integers(0, 64), min_size=1).map(tuple),
        binning=st.integers(),
        holdoff_s=st.none() | times,
        offset_s=st.none() | st.lists(times, min_size=1).map(tuple),
        filtered=st.booleans(),
    )
)
def test_its_recorder_is_told_exactly_what_it_is(values):
    for key, value in values.items():
        assert read_setting(Settings, key, write_setting(value)) == value


def setting(name, value):
    return {"node": "device", "name": name, "value": value}


def test_a_change_is_of_the_next_recording():
    device = Device("harp", Settings(binning=1))
    done, words = device.change({"together": [setting("binning", 2), setting("holdoff_s", "25ns")]})
    assert done
    assert (
        words
        == "the next recording is armed with binning = 2, holdoff_s = 2.5e-08; this one goes on as it is"
    )
    assert device.options() == ["harp", "--set=binning=1"]
    assert device.recorded_by()["settings"]["binning"] == 1
    assert device.value()["settings"]["binning"] == 2
    device.arm_next()
    assert [read_setting(Settings, "binning", "2"), device.armed.binning] == [2, 2]
    assert device.change(setting("channels", [0]))[0]
    assert device.following.channels == (0,)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (setting("binning", 25), "device harp: binning is at most 24, not 25"),
        (setting("bins", 1), "device harp has no setting 'bins'"),
        (setting("binning", "many"), "device harp: binning cannot be 'many'"),
        (setting("holdoff_s", "25xs"), "device harp: holdoff_s: '25xs' is not a time"),
        (setting("serial", "x" * 2000), "serial has more than 1000 characters"),
        ({"node": "device", "name": "binning"}, "a setting of the device has a name and a value"),
        (
            {"together": [setting("binning", 3), {"node": "lifetime", "name": "s", "value": 3}]},
            "by themselves",
        ),
        ({"together": [setting("binning", 3), 7]}, "by themselves"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(values, words):
    device = Device("harp", Settings())
    done, said = device.change(values)
    assert not done
    assert words in said
    assert device.following == Settings()


def test_what_no_message_can_hold_is_said_as_a_text():
    device = Device("harp", Settings(binning=-(1 << 70), holdoff_s=1e-9))
    assert device.value()["settings"]["binning"] == str(-(1 << 70))
    assert device.value()["settings"]["holdoff_s"] == 1e-9
