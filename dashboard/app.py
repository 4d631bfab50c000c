"""The tabs that are open: one document each, which gets an update when it has drawn the last one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from bokeh.core.properties import Any as Anything
from bokeh.document import Document
from bokeh.events import ConnectionLost
from bokeh.model import DataModel
from bokeh.models import CustomJS
from bokeh.server.session import ServerSession

from photonstream.dashboard.desk import Desk, Role
from photonstream.dashboard.live_page import PAGE, variables
from photonstream.dashboard.live_trace import Part, part_of
from photonstream.dashboard.pace import Pace
from photonstream.dashboard.updates import BEAT_S, Updates, pack
from photonstream.dashboard.wishes import WishError
from photonstream.stream.latency import stamp_now

log = logging.getLogger(__name__)

# Takes what the run says to a wish, and whether it does it.
Answer = Callable[[str, bool], None]

# Tells the run what somebody wants, in the words of `wishes`.
Ask = Callable[[object, object, Answer], None]

# A page is sent something at least so often, be there news or not: it takes a longer silence for a lost server.
LIFE_S = 2.0

# The wish of a page that watches, and wants to act.
TAKE_OVER = "take over"

# Wishes of a text, and the field of the page in which it is typed.
_TEXT_FIELDS: Mapping[object, tuple[str, str]] = {"note": ("note", "text"), "discard": ("why", "why")}


class Exchange(DataModel):
    """What server and page tell each other: ``shown`` is what the page is to show, ``said`` what it says.

    It is all that a session has: the plots are the same for every page, and come with it. All that changes at one time
    is one change of one property, because that is what costs.
    """

    # Bokeh looks for more of a model's code beside the first package of this name, and ours lies in no folder.
    __view_module__ = "bokeh.photonstream"

    shown = Anything(default=None)
    said = Anything(default=None)


class Tab:
    """One open page. ``sent`` counts the updates it was sent, and ``drawn`` is the last that it says it has drawn.

    Whatever it says, ``wake`` is called: there may be something to send to it now.
    """

    def __init__(
        self, document: Document, updates: Updates, ask: Ask, wake: Callable[[], None], desk: Desk
    ) -> None:
        self.sent = 0
        self.drawn = -1
        self._updates = updates
        self._ask = ask
        self._wake = wake
        self._desk = desk
        self._seen: dict[str, int] = {}
        self._heard = 0
        # What the page was told of: its last wish that was heard, the notice, its role.
        self._told: tuple[int, tuple[int, str], Role | None] = (0, (0, ""), None)
        # Its number, for the same may be said again; and its words.
        self._notice = (0, "")
        # What it is about: a wish by its name and field.
        self._about: object = None
        # A text that is not done goes back to where it was typed: the field, the text.
        self._back: tuple[str, str] | None = None
        self._part_s: Part = None
        self._pace = Pace(updates)
        # The stamp of the trace that it was sent last; what a new tab is sent first is history.
        self._stamp: int | None = None
        self._sent_at = stamp_now()
        self._exchange = Exchange()
        self._exchange.on_change("said", self._listen)
        self._fill(document)

    def _fill(self, document: Document) -> None:
        document.title = "photonstream"
        document.template = PAGE
        document.template_variables.update(variables())
        # Its own script brings a page back that has lost its server: with a new session.
        document.config.reconnect_session = False
        document.config.notify_connection_status = False
        document.add_root(self._exchange)
        shared = {"exchange": self._exchange}
        self._exchange.js_on_change("shown", CustomJS(args=shared, code="photonstream.take(exchange.shown)"))
        document.js_on_event("document_ready", CustomJS(args=shared, code="photonstream.start(exchange)"))
        document.js_on_event("connection_lost", CustomJS(code="photonstream.lost()"))

    @property
    def ready(self) -> bool:
        """Whether it has drawn what it was sent."""
        return self.drawn == self.sent

    @property
    def due(self) -> bool:
        """Whether there is something new to send, or a sign of life, and it can be sent."""
        if not self.ready:
            return False
        told = self._told == (self._heard, self._notice, self._desk.role(self))
        waited_s = 1e-9 * (stamp_now() - self._sent_at)
        if not told or waited_s >= LIFE_S:
            return True
        # Who is given a part each time is not to be given the next one at once.
        return not self._updates.known(self._seen) and not (self._pace.slow and waited_s < BEAT_S)

    def send(self) -> None:
        """Send what is new since the last update, or a sign of life, if it is due; the document must be locked."""
        if not self.due:
            return
        news = self._updates.news(self._seen, self._part_s, self._pace.later(self._seen))
        role = self._desk.role(self)
        head: dict[str, Any] = {"tab": {"number": self.sent + 1, "heard": self._heard, "role": role}}
        if self._notice != self._told[1]:
            head["notice"] = self._notice[1]
        if self._back is not None:
            head["back"], self._back = self._back, None
        self._told = (self._heard, self._notice, role)
        # Of a mere sign of life nothing is late.
        self._stamp = self._updates.stamp if self.sent and news else None
        self._sent_at = stamp_now()
        self.sent += 1
        exchange: Any = self._exchange
        exchange.shown = b"".join([pack(head), *news])

    def tell(self, words: str, about: object = None) -> None:
        """Say something to the person at this tab; without words, that what was said ``about`` this holds no more."""
        if words or about == self._about:
            self._notice, self._about = (self._notice[0] + 1, words), about

    def _listen(self, _attribute: str, _old: object, said: object) -> None:
        try:
            self._hear(said)
        except WishError as error:
            self.tell(f"Not done: {error}.")
        # Whatever a browser says, the server goes on.
        except Exception as error:
            log.exception("a page said %.200r", said)
            self.tell(f"The page's server failed at this: {type(error).__name__}: {error}")
        self._wake()

    def _hear(self, said: object) -> None:
        if not isinstance(said, Mapping):
            return
        kind, value = said.get("kind"), said.get("value")
        if kind == "ready" and isinstance(value, int):
            if value == self.sent:
                now = stamp_now()
                self._updates.drawn(self._stamp, now)
                took_s = said.get("took_s")
                # Of the first one the browser had more to do than to draw.
                if value > 1 and isinstance(took_s, int | float):
                    self._pace.drawn(took_s)
            self.drawn = value
        elif kind == "view":
            self._part_s = part_of(value)
            self._seen.pop("trace", None)
        elif kind == "wish" and isinstance(value, Mapping):
            self._heard = int(value["number"])
            # The page shows its own wish already: it has to hear what holds, be it as before.
            for section in ("window", "controls"):
                self._seen.pop(section, None)
            self._wish(value.get("name"), value.get("values"))

    def _wish(self, name: object, values: object) -> None:
        answer = partial(self._answered, name, values if isinstance(values, Mapping) else {})
        role = self._desk.role(self)
        try:
            if name == TAKE_OVER:
                if not self._desk.take_over(self):
                    raise WishError("this link is read-only")
                # What was refused because another page acted is refused no more.
                self.tell("", self._about)
            elif role == "acting":
                self._ask(name, values, answer)
            else:
                raise WishError(
                    "this link is read-only" if role == "read-only" else "another page acts at present"
                )
        except WishError as error:
            answer(f"Not done: {error}.", False)

    def _answered(self, name: object, values: Mapping[Any, Any], words: str, done: bool) -> None:
        self.tell(words, (name, values.get("field")))
        if done:
            return
        # The page shows what was wanted, be it a field that nothing else would change.
        for section in ("window", "controls", "status"):
            self._seen.pop(section, None)
        field, key = _TEXT_FIELDS.get(name, ("", ""))
        text = values.get(key)
        if field and isinstance(text, str):
            self._back = (field, text)


class Tabs:
    """All open tabs; ``wake`` is called when one of them has said something."""

    def __init__(self, updates: Updates, ask: Ask, wake: Callable[[], None]) -> None:
        self._updates = updates
        self._ask = ask
        self._wake = wake
        self._open: dict[Tab, Document] = {}
        self._desk = Desk()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Tab]:
        return iter(self._open)

    def add(self, document: Document, *, may_act: bool = True) -> None:
        """Make the page of a new tab in ``document``; it is forgotten with its session."""
        tab = Tab(document, self._updates, self._ask, self._wake, self._desk)
        self._open[tab] = document
        self._desk.enter(tab, may_act=may_act)
        document.on_event(ConnectionLost, lambda _event: self._lost(tab, document))
        document.on_session_destroyed(lambda _context: self._forget(tab))

    def _forget(self, tab: Tab) -> None:
        self._open.pop(tab, None)
        self._desk.leave(tab)
        # Another page may act now, and is to be told.
        self._wake()

    def _lost(self, tab: Tab, document: Document) -> None:
        self._forget(tab)
        session = _session(document)
        if session is not None:
            session.request_expiration()

    def due(self) -> list[tuple[Tab, ServerSession]]:
        """The tabs that are to be sent what is new, with their sessions, under whose locks that has to happen."""
        found = ((tab, _session(document)) for tab, document in self._open.items() if tab.due)
        return [(tab, session) for tab, session in found if session is not None]


def _session(document: Document) -> ServerSession | None:
    context: Any = document.session_context
    return None if context is None else context.session
