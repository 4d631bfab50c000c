"""Records over ZeroMQ: numbered, so that what is lost on the way is counted; with keys, from other machines too.

A sender says a header, then messages of two frames: how many records it has sent before (8 bytes, little-endian), and
records. It hears how many have been taken, or what was wrong. One at a time is heard.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.drivers.base import Cause, DeviceError, DeviceFacts, Driver, Status
from photonstream.nodes.drivers.network_header import LONGEST_HEADER, MOST_LOST, read_header
from photonstream.nodes.drivers.network_settings import AGAIN_S, NetworkSettings
from photonstream.stream.keys import KeysError, keys_for
from photonstream.stream.link.inlet import Inlet

# The records of a message. A larger one is refused, as far as it is taken in at all.
MOST_BYTES = 1 << 22
NUMBER_BYTES = 8
# How often a sender is told what was taken, and so is found to be gone; one whose connection was cut may come back.
TELL_S = 0.2
GRACE_S = 2.0
# Characters of what is said against somebody.
MOST_SAID = 200
# Messages in one reading, of whomever.
MOST_AT_ONCE = 4096


class OverZmq(Driver[NetworkSettings]):
    """Listens for one sender."""

    Settings = NetworkSettings
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__(settings)
        self._inlet: Inlet | None = None
        # Whether whoever connects has to prove a key.
        self._keyed = False
        self._sender: bytes | None = None
        self._facts: DeviceFacts | None = None
        # Of the sender: how many records it was taken, and those that are taken but not read yet.
        self._next = 0
        self._held = b""
        # A message that comes after a loss, and the header of a sender that is heard next.
        self._after_loss: tuple[int, bytes] | None = None
        self._header: tuple[bytes, bytes] | None = None
        self._told = 0.0
        self._gone_since: float | None = None
        # Messages of the sender that had come when it was stopped and are still taken; None before.
        self._room: int | None = None
        # Beginning and length of the last message of it that had been dropped by then.
        self._dropped_last: tuple[bytes, int] | None = None
        self._lost: int | None = None
        self._nonsense = False
        # What senders before this one have lost.
        self._lost_before = 0
        self._refused, self._last_refusal = 0, ""

    @property
    def port(self) -> int:
        """Where it listens, once it was armed; 0 before."""
        return 0 if self._inlet is None else int(self._inlet.endpoint.rpartition(":")[2])

    def listen(self) -> None:
        """Open the port, so that a sender can connect. Raises DeviceError where that cannot be."""
        if self._inlet is not None:
            return
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        place = f"tcp://{host}:{self.settings.port}"
        folder = Path(self.settings.keys).expanduser() if self.settings.keys else None
        try:
            keys = keys_for(folder, [place])
            self._inlet, self._keyed = Inlet(place, keys, MOST_BYTES), keys is not None
        except KeysError as error:
            raise DeviceError(Cause.DRIVER_ERROR, str(error)) from error
        except OSError as error:
            raise DeviceError(Cause.DRIVER_ERROR, f"cannot listen at {place}: {error.strerror}") from error

    def arm(self) -> DeviceFacts:
        """Wait for a sender and its header, or go on after what the present one has lost."""
        first = self._facts is None
        self.listen()
        assert self._inlet is not None
        self._room = self._dropped_last = None
        if self._after_loss is not None and self._facts is not None:
            self._next, self._held = self._after_loss
            self._next += len(self._held) // 4
            self._after_loss = None
            return self._facts
        self._hang_up()
        sender, (self._facts, lost) = self._await_header(
            self._inlet, self.settings.wait_s if first else AGAIN_S
        )
        self._sender, self._next, self._told = sender, 0, self.clock() - TELL_S
        self._inlet.hear(sender)
        if lost is not None:
            self._lost = max(lost + self._lost_before, self._lost or 0)
        self._tell(self._inlet)
        return self._facts

    def _await_header(self, inlet: Inlet, wait_s: float) -> tuple[bytes, tuple[DeviceFacts, int | None]]:
        """Who sends, and what its header says; whoever says something else is refused, and the sender waited for."""
        until = self.clock() + wait_s
        said, self._header = self._header, None
        while True:
            if said is not None:
                sender, header = said
                try:
                    return sender, read_header(header)
                except (ValueError, RecursionError) as error:
                    self._refuse(sender, f"no header: {error}")
            said = self._next_header(inlet, until)
            if said is None:
                refused = f"; the last one that was refused: {self._last_refusal}" if self._refused else ""
                cause = f"no program has said at {inlet.endpoint} what records it sends{refused}"
                raise DeviceError(Cause.DEVICE_GONE, cause)

    def _next_header(self, inlet: Inlet, until: float) -> tuple[bytes, bytes] | None:
        """The next message that may be a header, and who says it; None where none has come ``until`` then."""
        while True:
            while (came := inlet.take()) is not None:
                if self.clock() > until:
                    return None
                sender, frames = came
                if len(frames) == 1:
                    return sender, frames[0][:LONGEST_HEADER]
                self._refuse(sender, "the header comes first")
            left_s = until - self.clock()
            if left_s <= 0:
                return None
            inlet.wait(left_s)

    def read_into(self, buffer: NDArray[np.uint32]) -> int:
        """What has arrived."""
        if self._sender is None or self._inlet is None:
            return 0
        view = memoryview(buffer.data).cast("B")
        filled = 0
        # Whatever strangers say, what has come of the sender is handed over in time.
        for _ in range(MOST_AT_ONCE):
            part = self._held[: len(view) - filled]
            view[filled : filled + len(part)] = part
            self._held = self._held[len(part) :]
            filled += len(part)
            if filled == len(view) or self._fault_waits or not self._take(self._inlet):
                break
        if not filled:
            self._raise_fault()
            self._tell(self._inlet)
        elif self.clock() - self._told >= TELL_S:
            self._tell(self._inlet)
        return filled // 4

    @property
    def _fault_waits(self) -> bool:
        return self._after_loss is not None or self._header is not None

    def _take(self, inlet: Inlet) -> bool:
        """Take one message; whether there may be more."""
        if self._room == 0 or (came := inlet.take()) is None:
            return False
        sender, frames = came
        if sender != self._sender:
            self._hear_other(sender, frames)
            return True
        if self._room is not None:
            self._room -= 1
        self._gone_since = None
        if len(frames) == 1:
            # It begins anew.
            self._header = sender, frames[0][:LONGEST_HEADER]
            return False
        if len(frames) != 2 or len(frames[0]) != NUMBER_BYTES or len(frames[1]) % 4:
            self._refuse(sender, "a message of records has two frames: 8 bytes, and whole records")
            self._nonsense = True
            return False
        if len(frames[1]) > MOST_BYTES:
            self._refuse(sender, f"a message has at most {MOST_BYTES >> 20} MiB of records")
            self._nonsense = True
            return False
        number, records = int.from_bytes(frames[0], "little"), frames[1]
        if number > self._next + MOST_LOST:
            self._refuse(sender, f"record number {number} is none")
            self._nonsense = True
            return False
        if number > self._next:
            self._lost = (self._lost or 0) + number - self._next
            self._lost_before += number - self._next
            self._after_loss = number, records
            return False
        # What was taken before and is sent again is known already.
        records = records[4 * (self._next - number) :]
        self._held += records
        self._next += len(records) // 4
        return True

    def _hear_other(self, sender: bytes, frames: list[bytes]) -> None:
        """Somebody else speaks: it is heard next where the present sender is gone."""
        assert self._inlet is not None
        header = len(frames) == 1
        if header and (self._gone_since is not None or not self._is_there()):
            self._header = sender, frames[0][:LONGEST_HEADER]
            return
        self._refuse(sender, "another program sends already" if header else "the header comes first")

    def _raise_fault(self) -> None:
        """Raise what has befallen the sender, when all from before has been read."""
        if self._room is not None and self._after_loss is None:
            self._raise_dropped()
            return
        if self._after_loss is not None:
            missing = self._after_loss[0] - self._next
            raise DeviceError(Cause.DEVICE_GONE, f"{missing} records of the sender did not arrive")
        if self._nonsense:
            self._hang_up()
            raise DeviceError(Cause.DRIVER_ERROR, "the sender sent what is no message of records")
        if self._header is not None:
            anew = self._header[0] == self._sender
            self._hang_up()
            raise DeviceError(
                Cause.DEVICE_GONE,
                "the program that sends the records began anew"
                if anew
                else "the program that sends the records is gone, and another one sends",
            )
        if self._gone_since is not None and self.clock() - self._gone_since >= GRACE_S:
            self._hang_up()
            raise DeviceError(Cause.DEVICE_GONE, "the program that sends the records is gone")

    def _raise_dropped(self) -> None:
        """Raise that the last of what the sender sent could not be kept: no number after it tells."""
        dropped, self._dropped_last = self._dropped_last, None
        if dropped is None or len(dropped[0]) != NUMBER_BYTES:
            return
        missing = int.from_bytes(dropped[0], "little") + dropped[1] // 4 - self._next
        if 0 < missing <= MOST_LOST:
            self._lost = (self._lost or 0) + missing
            raise DeviceError(Cause.DEVICE_GONE, f"{missing} records of the sender did not arrive")

    def _tell(self, inlet: Inlet) -> None:
        """Say how many records were taken, now and then; so one hears whether the sender is there."""
        if self._sender is None or self.clock() - self._told < TELL_S:
            return
        self._told = self.clock()
        if inlet.say(self._sender, _json(taken=self._next)):
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = self.clock()

    def _is_there(self) -> bool:
        assert self._inlet is not None
        assert self._sender is not None
        return self._inlet.say(self._sender, _json(taken=self._next))

    def _refuse(self, sender: bytes, words: str) -> None:
        self._refused, self._last_refusal = self._refused + 1, words[:MOST_SAID]
        if self._inlet is not None:
            self._inlet.say(sender, _json(error=words[:MOST_SAID]))

    def status(self) -> Status:
        """What a sender says that it has lost, and what did not arrive."""
        inlet = self._inlet
        turned_away, dropped = (0, 0) if inlet is None else (inlet.turned_away, inlet.dropped)
        closed = "refused: keys missing, wrong or not admitted"
        if not self._keyed:
            closed = "closed that did not speak ZeroMQ, or wanted keys, which are not used here"
        counts = (
            (self._refused, "message", "refused"),
            (turned_away, "connection", closed),
            (dropped, "message", "dropped: more came than could be kept until it is taken"),
        )
        return Status(lost_records=self._lost, warnings=tuple(_sentence(*each) for each in counts if each[0]))

    def disarm(self) -> None:
        """What has arrived can be read, and no more."""
        if self._room is None and self._sender is not None and self._inlet is not None:
            self._room = self._inlet.heard
            # What is dropped from now on is not of this recording.
            self._dropped_last = self._inlet.last_dropped

    def _hang_up(self) -> None:
        self._sender, self._held, self._after_loss = None, b"", None
        if self._inlet is not None:
            self._inlet.hear(None)
        self._gone_since, self._nonsense = None, False

    def close(self) -> None:
        """Close the port; the sender is told how much of what it sent was taken."""
        if self._inlet is not None:
            if self._sender is not None:
                self._inlet.say(self._sender, _json(taken=self._next, error="the recording has ended"))
            self._hang_up()
            with contextlib.suppress(OSError):
                self._inlet.stop()
            self._inlet = None


def _sentence(count: int, what: str, became: str) -> str:
    return f"{count} {what}{' was' if count == 1 else 's were'} {became}"


def _json(**said: Any) -> bytes:
    return json.dumps(said).encode()
