"""A wall clock that can be set for the processes of one run: that of the machine belongs to everybody.

Python looks for a module ``sitecustomize`` when it starts; one in a folder of the run takes the place of ``time.time``,
``time.time_ns`` and ``datetime.datetime.now`` in each of its processes. Times that the system itself notes (of files),
and the monotonic clock, which never jumps, stay as they are.
"""

from __future__ import annotations

import os
from pathlib import Path

from photonstream.nodes.tables import write_atomically

_OFFSET = "offset_s"
_FOLDER = "clock"
_TEXT = """\
import datetime
import time

_wall_s, _datetime = time.time, datetime.datetime


def _now_s():
    with open({place!r}) as offset:
        return _wall_s() + float(offset.read())


class _Kind(type(_datetime)):
    def __instancecheck__(cls, value):
        return isinstance(value, _datetime)


class _Datetime(_datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(_now_s(), tz)


time.time = _now_s
time.time_ns = lambda: round(_now_s() * 1e9)
datetime.datetime = _Datetime
"""


def clock_environment(folder: Path) -> dict[str, str]:
    """Put the clock into ``folder``; the environment of processes that go by it."""
    place = folder / _FOLDER
    place.mkdir()
    set_clock(folder, 0.0)
    text = _TEXT.format(place=str(place / _OFFSET))
    (place / "sitecustomize.py").write_text(text, encoding="utf-8")
    paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def set_clock(folder: Path, offset_s: float) -> None:
    """Let the wall clock be ahead of the machine's by ``offset_s``, from now on."""
    write_atomically(folder / _FOLDER / _OFFSET, repr(offset_s))
