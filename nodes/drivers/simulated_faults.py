"""Faults that a simulated device is asked for, as a person writes them: ``overrun@2s sync@3s:0.5s gone@8s``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

KINDS = ("overrun", "sync", "stall", "gone", "rate")
_FAULT = re.compile(r"(\w+)@([0-9.]+(?:e[-+]?[0-9]+)?)s?(?::([0-9.]+(?:e[-+]?[0-9]+)?)s?)?")


@dataclass(frozen=True)
class PlannedFault:
    """A fault of ``kind`` (of `KINDS`) from ``at_s`` until ``until_s``, in seconds since the device was first armed."""

    kind: str
    at_s: float
    until_s: float

    def holds(self, time_s: float) -> bool:
        """Whether it is there at ``time_s``."""
        return self.at_s <= time_s < self.until_s


def parse_faults(text: str) -> tuple[PlannedFault, ...]:
    """The faults of ``text``, by time; without a length they last for ever. Raises ValueError with the word and why."""
    faults = []
    for word in re.split(r"[\s,+]+", text.strip()) if text.strip() else ():
        match = _FAULT.fullmatch(word)
        if match is None or match[1] not in KINDS:
            raise ValueError(
                f"{word!r} is no fault; one is written KIND@SECONDS or KIND@SECONDS:LENGTH, with the kinds "
                f"{', '.join(KINDS)}"
            )
        at_s = float(match[2])
        length_s = math.inf if match[3] is None else float(match[3])
        faults.append(PlannedFault(match[1], at_s, at_s + length_s))
    return tuple(sorted(faults, key=lambda fault: fault.at_s))
