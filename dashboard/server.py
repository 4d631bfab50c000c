"""Serves the live page of a run: one thread reads the link, makes the updates and talks to the browsers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.server.server import BaseServer
from bokeh.server.util import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from photonstream.dashboard.access import ACT, WATCH, Access, GuardedServer, told_in_a_line
from photonstream.dashboard.app import Answer, Tab, Tabs
from photonstream.dashboard.hosts import in_url, reachable_hosts
from photonstream.dashboard.latest import RUN, STATUS, Latest, Window
from photonstream.dashboard.live_page import variables
from photonstream.dashboard.updates import Updates
from photonstream.dashboard.wishes import WishError, command_of
from photonstream.stream.control import CommandClient, socket_of
from photonstream.stream.keys import Keys, KeysError
from photonstream.stream.link import RESULTS_WINDOW, Context, LinkReader, new_context
from photonstream.stream.wire import WireError

log = logging.getLogger(__name__)

# The link of whoever may act, and the read-only one, by each name of the machine.
Links = Sequence[tuple[str, str]]

HOST = "127.0.0.1"
# Names of this machine to which nobody else can connect.
LOCAL = (HOST, "localhost")
# The link is looked at when something comes, and at least this often.
LOOK_S = 0.05
# After so long without a word the run is asked for one, with a command that does nothing.
QUIET_S = 1.0
HELLO = "hello"
# In whose name the page gives commands.
PAGE = "page"
# So long the end waits for what is under way to browsers.
FAREWELL_S = 1.0
# A page that is gone is forgotten after this; one that was fetched and never connected, after a while.
CHECK_MS, UNUSED_MS = 1000, 15000


class RunLink:
    """The page's end of the link and of the command socket; everything happens in the thread that made it."""

    def __init__(self, context: Context, address: str) -> None:
        self.latest = Latest()
        self.updates = Updates(self.latest, address)
        self._context = context
        self._reader = LinkReader(context, address, "dashboard", RESULTS_WINDOW)
        self._client: CommandClient | None = None
        # Endpoint and name of the command socket of the run.
        self._control: tuple[str, str | None] | None = None
        # Who waits for an answer, in the order of the commands, and which window was asked for.
        self._waiting: deque[tuple[Answer | None, Window | None]] = deque()
        self._confirmed_by: object = None
        self._polled_s: float | None = None

    def poll(self, now_s: float) -> None:
        """Take in what has come. Never blocks."""
        stood_still = self._polled_s is not None and now_s - self._polled_s > QUIET_S
        self._polled_s = now_s
        if stood_still and self.latest.heard_s is not None:
            # Whoever did not listen cannot say that the run was silent.
            self.latest.alive(now_s)
        for message in self._reader.receive():
            try:
                self.latest.hear(message, now_s)
            finally:
                self._reader.done()
        self._follow_control()
        if self._client is not None:
            for ok, words in self._client.receive():
                self.latest.alive(now_s)
                self._answered(ok, words)
            self._ask_for_life(self._client, now_s)
        self._settle()

    @property
    def descriptor(self) -> int:
        """Ready to be read when something may have come from the run."""
        return self._reader.descriptor

    @property
    def pending(self) -> bool:
        """Whether something has come since the last look."""
        return self._reader.pending

    def ask(self, name: object, values: object, tell: Answer) -> None:
        """Tell the run what somebody wants; ``tell`` is called with what it says of that. Raises WishError."""
        command, window = command_of(name, values)
        if self._client is None:
            raise WishError("this run takes no commands")
        try:
            self._client.send(*command)
        except WireError as error:
            raise WishError(str(error)) from error
        self._waiting.append((tell, window))
        if window is not None:
            self.updates.wish = window
            self._confirmed_by = None

    def _follow_control(self) -> None:
        """Speak to the command socket that the run names."""
        opening = self.latest.opening
        control = socket_of(opening.facts) if opening is not None else None
        if control == self._control:
            return
        # What has no answer may have been done by the run that was there: it is not said to the next one.
        self._stop_client()
        self._control = control
        if control is not None:
            endpoint, name = control
            self._client = CommandClient(self._context, endpoint, by=PAGE, to=name)

    def _ask_for_life(self, client: CommandClient, now_s: float) -> None:
        """A run whose results are final has nothing to say; whatever it answers to this, it is there."""
        heard_s = self.latest.heard_s
        if heard_s is not None and now_s - heard_s >= QUIET_S and not client.waiting:
            client.send(HELLO, {})
            self._waiting.append((None, None))

    def _answered(self, ok: bool, words: str) -> None:
        tell, window = self._waiting.popleft() if self._waiting else (None, None)
        if not ok and tell is not None:
            tell(f"The run refuses: {words}", False)
        elif tell is not None:
            tell(f"{words[:1].upper()}{words[1:]}." if words else "", True)
        if window is not None and not any(other is not None for _, other in self._waiting):
            # From the next status on, the run's own word on its window holds.
            self._confirmed_by = self.latest.revisions((RUN, STATUS))
            if not ok:
                self.updates.wish = None

    def _settle(self) -> None:
        """Forget a wish when the run has taken it up, or has spoken after it answered, or cannot be asked."""
        said = self._confirmed_by is not None and self._confirmed_by != self.latest.revisions((RUN, STATUS))
        if self._client is None or said or self.updates.wish == self.latest.asked_window:
            self.updates.wish = None

    def _stop_client(self) -> None:
        if self._client is not None:
            self._client.stop()
            self._client = None
        for tell, _ in self._waiting:
            if tell is not None:
                tell("The run did not answer any more. Whether that was done is not known.", False)
        self._waiting.clear()
        self.updates.wish = None

    def stop(self) -> None:
        """Close the sockets."""
        self._stop_client()
        self._reader.stop()


def serve(
    address: str,
    port: int,
    on_ready: Callable[[Links], None],
    stop: Callable[[], bool],
    keys: Keys | None = None,
    host: str = HOST,
    origins: Sequence[str] = (),
) -> None:
    """Serve the page of the run that publishes at ``address``, until ``stop`` says so.

    ``host``: where it listens; off this machine it opens only with a token (`access`). ``origins``: further names,
    HOST:PORT, by which browsers may know it. ``on_ready`` gets the page's links when it can be opened, one for each
    name of the machine: one to act and one that is read-only. Port 0 takes one that is free. The end of the run, or of
    its link, does not end the page: it says so and shows what there was. Raises OSError where the port is taken,
    KeysError where the run wants other ``keys``.
    """
    asyncio.run(_serve(address, port, on_ready, stop, keys, host, origins))


async def _serve(
    address: str,
    port: int,
    on_ready: Callable[[Links], None],
    stop: Callable[[], bool],
    keys: Keys | None,
    host: str,
    origins: Sequence[str],
) -> None:
    logging.getLogger("tornado.application").addFilter(told_in_a_line)
    sockets, port = bind_sockets(host, port)
    hosts = reachable_hosts(host)
    access = Access() if host in LOCAL else Access.by_tokens()
    context = new_context(keys)
    link = RunLink(context, address)
    wake = asyncio.Event()
    tabs = Tabs(link.updates, link.ask, wake.set)
    acting = Application(FunctionHandler(tabs.add))
    watching = Application(FunctionHandler(partial(tabs.add, may_act=False)))
    application = GuardedServer(
        {ACT: acting, WATCH: watching},
        access,
        port,
        {*LOCAL, *(origin.rpartition(":")[0] for origin in origins)},
        extra_websocket_origins=[f"{in_url(name)}:{port}" for name in {*LOCAL, *hosts}] + [*origins],
        check_unused_sessions_milliseconds=CHECK_MS,
        unused_session_lifetime_milliseconds=UNUSED_MS,
        include_cookies=[],
    )
    # That a tab was closed while it was sent something is no matter.
    logging.getLogger("bokeh.server.views.ws").setLevel(logging.ERROR)
    http = HTTPServer(application)
    http.add_sockets(sockets)
    loop = IOLoop.current()
    server = BaseServer(loop, application, http)
    server.start()
    loop.add_handler(link.descriptor, lambda _descriptor, _events: wake.set(), IOLoop.READ)
    try:
        on_ready([access.links(f"http://{in_url(name)}:{port}") for name in hosts])
        # What every page has is made before the first one is asked for, and not before it can be.
        variables()
        await _turn(link, tabs, wake, stop)
    finally:
        loop.remove_handler(link.descriptor)
        server.stop()
        await http.close_all_connections()
        # What was under way to a browser finds out by itself that it is gone.
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=FAREWELL_S)
        link.stop()
        context.term()


async def _turn(link: RunLink, tabs: Tabs, wake: asyncio.Event, stop: Callable[[], bool]) -> None:
    """Look at the link and give the tabs what is new, again and again."""
    sending: set[asyncio.Task[None]] = set()
    while not stop():
        wake.clear()
        now_s = time.monotonic()
        # Whatever a run says, its page goes on.
        try:
            link.poll(now_s)
        except KeysError:
            raise
        except Exception:
            log.exception("what the run says cannot be understood")
        # For who is still drawing nothing is made that would be old by then.
        if any(tab.ready for tab in tabs):
            link.updates.refresh(now_s)
        for tab, session in tabs.due():
            # A tab whose connection is stuck waits by itself.
            task = asyncio.create_task(_send(tab, session))
            sending.add(task)
            task.add_done_callback(sending.discard)
        if not link.pending:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), LOOK_S)


async def _send(tab: Tab, session: Any) -> None:
    # Whatever goes wrong with one tab is not to reach the others.
    try:
        await session.with_document_locked(tab.send)
    except Exception:
        log.exception("a tab could not be sent its update")
