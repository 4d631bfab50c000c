"""Runs a topology in threads of this process: every node at its links, arrays passing by reference."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from typing import Any

from photonstream.stream.chunk import Result
from photonstream.stream.link import Context, LinkReader, Waiter, new_context
from photonstream.stream.loop import IDLE_S, Places, make_loop
from photonstream.stream.node import Node, Opening, PhotonNode
from photonstream.stream.runner import Outcome, Progress, Runner
from photonstream.stream.wire import Close, ResultSent

# Threads that hand chunks to each other wait for the interpreter; shorter turns make a chain a third faster.
SWITCH_S = 5e-5
# Who reads the results of every node on behalf of the run.
SUPERVISOR = "supervisor"


class ThreadsRunner(Runner):
    """The same run as `InlineRunner`, with the same results, as one thread a node."""

    def run(self) -> Outcome:
        opening = self.open()
        self._finish = threading.Event()
        self._errors: list[BaseException] = []
        token = secrets.token_hex(8)
        places = Places(f"inproc://{token}/", token)
        context = new_context()
        threads = [
            threading.Thread(target=self._work, args=(context, node, places, opening), name=f"node {name}")
            for name, node in self._nodes.items()
        ]
        before_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            for thread in threads:
                thread.start()
            self._collect(context, places)
        finally:
            self._finish.set()
            for thread in threads:
                thread.join()
            context.term()
            sys.setswitchinterval(before_s)
        if self._errors:
            raise self._errors[0]
        return self._outcome()

    def _work(
        self,
        context: Context,
        node: Node[Any],
        places: Places,
        opening: Opening,
    ) -> None:
        readers = [
            name for name, n in self._nodes.items() if isinstance(n, PhotonNode) and node.name in n.inputs
        ]
        results_s = float("inf") if self._results_s is None else self._results_s
        try:
            make_loop(context, node, places, results_s, readers, opening).run(self._finish.is_set)
        except BaseException as error:
            # Told by the thread that runs the others; nothing may be lost with this one.
            self._errors.append(error)
            self._finish.set()

    def _collect(self, context: Context, places: Places) -> None:
        """Keep the latest result of every node until all have closed or one has broken."""
        readers = {name: LinkReader(context, places.results(name), SUPERVISOR) for name in self._nodes}
        waiter = Waiter()
        for reader in readers.values():
            waiter.watch(reader.socket)
        closed: set[str] = set()
        next_progress = 0.0
        try:
            while len(closed) < len(readers) and not self._finish.is_set():
                waiter.wait(IDLE_S)
                for name, reader in readers.items():
                    for message in reader.receive():
                        if isinstance(message, ResultSent):
                            result = Result(message.node, message.key, message.value, message.final)
                            self._latest[result.node, result.key] = result
                        elif isinstance(message, Close):
                            closed.add(name)
                        if isinstance(message, ResultSent | Close):
                            reader.done()
                if self._on_progress is not None and time.monotonic() >= next_progress:
                    self._on_progress(Progress(*self._source.progress(), self._latest))
                    next_progress = time.monotonic() + self._progress_s
        finally:
            for reader in readers.values():
                reader.stop()
