"""A file that grows while it is followed: the test writes every piece, between two looks, by a clock it sets."""

from datetime import datetime

import numpy as np

from photonstream.nodes.follow import Follow, FollowParameters
from photonstream.nodes.formats.ptu_write import RECORDS_TAG, encode_header
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.recording_events import COMPLETE_TAG
from photonstream.stream.chunk import Chunk, ChunkLaws
from photonstream.stream.orders import Orders

PERIOD_S = 1e-6


def header(records=0, complete=False, guid="{A}", period_s=PERIOD_S, **more):
    """A header as our recorder writes it; without ``complete`` (None) as somebody else's."""
    tags = {
        "File_GUID": guid,
        "File_CreatingTime": datetime(2026, 11, 25, 12),
        "TTResultFormat_TTTRRecType": GENERIC_T3.code,
        "TTResultFormat_BitsPerRecord": 32,
        "Measurement_Mode": 3,
        "HW_InpChannels": 2,
        "MeasDesc_Resolution": 1e-10,
        "MeasDesc_GlobalResolution": period_s,
        "TTResult_SyncRate": round(1 / period_s),
        **({} if complete is None else {COMPLETE_TAG: complete}),
        **more,
        RECORDS_TAG: records,
    }
    return encode_header(tags)[0]


HEADER_BYTES = len(header())


def words(count, first=0):
    """Photons at one sync pulse after the other, with a wrap of the counter before every 1024th."""
    places = np.arange(first, first + count, dtype=np.uint32)
    return np.where(places % 1025 == 0, np.uint32(0xFE000001), (places % 64) << 10 | places % 1024).astype(
        "<u4"
    )


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Live:
    """A file at ``path`` and a source that follows it, in steps that the test takes."""

    def __init__(self, path, **parameters):
        self.path, self.clock = path, Clock()
        self.parameters = {"path": str(path), "idle_timeout_s": 10.0, **parameters}
        self.source = None
        self.chunks = []
        self._pieces = None

    def append(self, data):
        with self.path.open("ab") as file:
            file.write(data if isinstance(data, bytes) else data.tobytes())

    def patch(self, data, at=0):
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    def make(self, **more):
        source = Follow("source", FollowParameters(**self.parameters | more))
        source.clock = self.clock
        return source

    def begin(self, source=None):
        self.source = self.make() if source is None else source
        opening = self.source.begin()
        self._laws, self.chunks = ChunkLaws("source"), []
        self._pieces = self.source.chunks()
        return opening

    def step(self):
        """Take what goes out, until the source waits or has ended: for how long it waits, None at the end."""
        for piece in self._pieces:
            if not isinstance(piece, Chunk):
                self.clock.now += piece
                return piece
            self._laws.admit(piece)
            self.chunks.append(piece)
        return None

    def run(self, seconds=1e9):
        """Until it ends, or for so long; whether it has ended."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            if self.step() is None:
                return True
        return False

    def again(self, **orders):
        """The next epoch, as a run begins it."""
        earlier, of = self.source, {"run": self.source.choice(final=True)}
        source = self.make(**of)
        source.inherit(earlier)
        source.orders = Orders(**orders)
        self.begin(source)

    @property
    def records(self):
        return np.concatenate([np.empty(0, np.uint32), *(chunk["records"] for chunk in self.chunks)])

    def results(self, *, final=True):
        if final:
            self.source.account()
        return {result.key: result.value for result in self.source.snapshot(final=final)}

    def recording(self):
        return self.results()["recording"]
