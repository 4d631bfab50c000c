"""Settings of a PicoQuant device, and how they are told to it through snAPI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from photonstream.nodes.drivers.base import Cause, DeviceError

MODES = ("T3", "T2")
TRIGGERS = ("edge", "cfd")
EDGES = {"falling": 0, "rising": 1}
# The device measures rates for so long; a sync rate that was asked for earlier is that of before.
GATE_S = 0.1


@dataclass(frozen=True)
class PicoQuantSettings:
    """``serial`` chooses a device, the first one where it is empty; ``mode`` is T3 or T2.

    What is None stays as the device has it. ``trigger`` is edge or cfd, where the device can do both. Levels are of
    the edge trigger, with ``*_edge`` (None: that of snAPI), or of the discriminator, with ``*_zero_cross_v``, as the
    device has it; these go with a level and cannot be set without. ``input_*`` are for all inputs. ``offset_s`` shifts
    the TCSPC window. ``buffer_records`` is the memory of snAPI.
    """

    serial: str = ""
    mode: str = "T3"
    channels: tuple[int, ...] | None = None
    binning: int = 0
    sync_divider: int = 1
    trigger: str | None = None
    sync_level_v: float | None = None
    sync_edge: str | None = None
    sync_zero_cross_v: float | None = None
    sync_offset_s: float = 0.0
    input_level_v: float | None = None
    input_edge: str | None = None
    input_zero_cross_v: float | None = None
    input_offset_s: tuple[float, ...] | None = None
    dead_time_s: float | None = None
    offset_s: float = 0.0
    marker_holdoff_s: float | None = None
    buffer_records: int = 1 << 24

    def __post_init__(self) -> None:
        for name, known in (("mode", MODES), ("sync_edge", (*EDGES, None)), ("input_edge", (*EDGES, None))):
            if getattr(self, name) not in known:
                names = ", ".join(each for each in known if each is not None)
                raise ValueError(f"{name} is one of {names}, not {getattr(self, name)!r:.40}")
        for side in ("sync", "input"):
            for name in (f"{side}_edge", f"{side}_zero_cross_v"):
                if getattr(self, name) is not None and getattr(self, f"{side}_level_v") is None:
                    raise ValueError(f"{name} goes with {side}_level_v, which is not given")
        if self.trigger is not None and self.trigger not in TRIGGERS:
            raise ValueError(f"trigger is edge or cfd, not {self.trigger!r:.40}")
        if not 0 <= self.binning <= 26:
            raise ValueError(f"binning is 0 to 26 (2^binning time bins in one), not {self.binning}")
        if self.sync_divider not in (1, 2, 4, 8, 16):
            raise ValueError(f"sync_divider is 1, 2, 4, 8 or 16, not {self.sync_divider}")
        if self.channels is not None and (not self.channels or min(self.channels) < 0):
            raise ValueError(f"channels are inputs from 0, not {self.channels}")
        if self.buffer_records < 1 << 16:
            raise ValueError(f"buffer_records is at least {1 << 16}, not {self.buffer_records}")


def apply_settings(api: Any, constants: Any, settings: PicoQuantSettings) -> None:
    """Tell the device that ``api`` has opened. Raises DeviceError with the setting that it refuses."""
    device, model = api.device, str(api.deviceConfig["Model"])
    told: list[tuple[str, Callable[[], Any]]] = [
        ("sync_divider", lambda: device.setSyncDiv(settings.sync_divider)),
        ("sync_offset_s", lambda: device.setSyncChannelOffset(_ps(settings.sync_offset_s))),
    ]
    if settings.trigger is not None:
        mode = constants.TrigMode.CFD if settings.trigger == "cfd" else constants.TrigMode.Edge
        told.append(("trigger", lambda: device.setSyncTrigMode(mode)))
        told.append(("trigger", lambda: device.setInputTrigMode(-1, mode)))
    cfd = _discriminates(model, settings.trigger)
    unused = "edge" if cfd else "zero_cross_v"
    for name in (f"sync_{unused}", f"input_{unused}"):
        if getattr(settings, name) is not None:
            trigger = "a discriminator" if cfd else "an edge trigger"
            raise DeviceError(Cause.DRIVER_ERROR, f"the {model} has {trigger}, which takes no {name}")
    if settings.sync_level_v is not None:
        told.append(("sync_level_v", _sync_level(device, settings, settings.sync_level_v, cfd)))
    if settings.input_level_v is not None:
        told.append(("input_level_v", _input_level(device, settings, settings.input_level_v, cfd)))
    told += _inputs(device, settings, int(api.deviceConfig["NumChans"]))
    if settings.mode == "T3":
        told.append(("binning", lambda: device.setBinning(settings.binning)))
        told.append(("offset_s", lambda: device.setOffset(round(settings.offset_s * 1e9))))
    if settings.marker_holdoff_s is not None:
        holdoff_ns = round(settings.marker_holdoff_s * 1e9)
        told.append(("marker_holdoff_s", lambda: device.setMarkerHoldoffTime(holdoff_ns)))
    for name, tell in told:
        if not tell():
            raise DeviceError(
                Cause.DRIVER_ERROR, f"the {model} refuses {name} = {getattr(settings, name)}; see its manual"
            )


def _sync_level(device: Any, settings: PicoQuantSettings, level_v: float, cfd: bool) -> Callable[[], Any]:
    if cfd:
        return lambda: device.setSyncCFD(_mv(level_v), _mv(settings.sync_zero_cross_v or 0.0))
    return lambda: device.setSyncEdgeTrig(_mv(level_v), *_edge(settings.sync_edge))


def _input_level(device: Any, settings: PicoQuantSettings, level_v: float, cfd: bool) -> Callable[[], Any]:
    if cfd:
        return lambda: device.setInputCFD(-1, _mv(level_v), _mv(settings.input_zero_cross_v or 0.0))
    return lambda: device.setInputEdgeTrig(-1, _mv(level_v), *_edge(settings.input_edge))


def _edge(name: str | None) -> tuple[int, ...]:
    """What is told of an edge; nothing where it is to be snAPI's own."""
    return () if name is None else (EDGES[name],)


def _inputs(device: Any, settings: PicoQuantSettings, inputs: int) -> list[tuple[str, Callable[[], Any]]]:
    told: list[tuple[str, Callable[[], Any]]] = []
    if settings.channels is not None:
        if max(settings.channels) >= inputs:
            raise DeviceError(
                Cause.DRIVER_ERROR, f"the device has inputs 0 to {inputs - 1}, not {max(settings.channels)}"
            )
        for channel in range(inputs):
            on = int(channel in settings.channels)
            told.append(("channels", partial(device.setInputChannelEnable, channel, on)))
    offsets = settings.input_offset_s or ()
    if len(offsets) > inputs:
        raise DeviceError(
            Cause.DRIVER_ERROR,
            f"the device has {inputs} inputs, and {len(offsets)} are given in input_offset_s",
        )
    for channel, offset_s in enumerate(offsets):
        told.append(("input_offset_s", partial(device.setInputChannelOffset, channel, _ps(offset_s))))
    if settings.dead_time_s is not None:
        dead_time_ps = _ps(settings.dead_time_s)
        told.append(("dead_time_s", lambda: device.setInputDeadTime(-1, dead_time_ps)))
    return told


def _discriminates(model: str, trigger: str | None) -> bool:
    """Whether a level is that of a discriminator: the TimeHarp P and the HydraHarp 400 have no other trigger."""
    if trigger is not None:
        return trigger == "cfd"
    return "HydraHarp 400" in model or ("TimeHarp" in model and model.rstrip().endswith("P"))


def _mv(volts: float) -> int:
    return round(volts * 1e3)


def _ps(seconds: float) -> int:
    return round(seconds * 1e12)
