"""Runs a topology in threads of this process: every node at its links, arrays passing by reference."""

from __future__ import annotations

import sys
import threading

from photonstream.stream.link import Context
from photonstream.stream.places import Places
from photonstream.stream.runner import Outcome
from photonstream.stream.supervisor import PlacedRunner
from photonstream.stream.worker import work

# Threads that hand chunks to each other wait for the interpreter; shorter turns make a chain a third faster.
SWITCH_S = 5e-5


class ThreadsRunner(PlacedRunner):
    """The same run as `InlineRunner`, with the same results, as one thread a node."""

    def run(self) -> Outcome:
        self._finish = threading.Event()
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        before_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            return super().run()
        finally:
            sys.setswitchinterval(before_s)

    def _places(self, run: str) -> Places:
        return Places.inproc(run)

    def _start(self, context: Context, places: Places) -> None:
        for name in self._nodes:
            thread = threading.Thread(target=self._work, args=(context, name, places), name=f"node {name}")
            self._threads.append(thread)
            thread.start()

    def _work(self, context: Context, name: str, places: Places) -> None:
        try:
            work(context, self._topology, name, places, self._finish.is_set)
        except BaseException as error:
            # Raised again by the thread that runs the others; nothing may be lost with this one.
            self._errors.append(error)

    def _heed(self) -> None:
        if self._errors:
            raise self._errors[0]

    def _join(self) -> None:
        self._finish.set()
        for thread in self._threads:
            thread.join()
