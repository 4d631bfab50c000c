"""For tests over real sockets: waiting for something to come about, and a tcp connection that can be cut and hushed."""

import contextlib
import socket
import threading
import time

import zmq

DEADLINE_S = 20.0
# More bytes than any test sends.
FAR = 1 << 40


def wait(event, *steps, sockets=(), wake_ms=20):
    """Do ``steps`` again and again until ``event()``; between them wait for ``sockets``."""
    poller = zmq.Poller()
    for each in sockets:
        poller.register(each, zmq.POLLIN)
    end = time.monotonic() + DEADLINE_S
    while not event():
        assert time.monotonic() < end, "it did not happen in time"
        for step in steps:
            step()
        poller.poll(wake_ms if sockets else 1)


class Proxy:
    """A tcp connection to a writer or a run that can be cut and hushed; it has threads of its own.

    Over each connection as many bytes go up to it and down from it as the next of ``limits`` says, then it is cut.
    """

    def __init__(self, endpoint, limits=()):
        self._target = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._limits = list(limits)
        self.connections = 0
        self.hush = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                hushed = self.hush.is_set()
                self.connections += 1
                up, down = self._limits.pop(0) if self._limits else (FAR, FAR)
                self._start(self._pass, near, far, up, hushed)
                self._start(self._pass, far, near, down, hushed)

    def _pass(self, source, target, limit, hushed):
        with contextlib.suppress(OSError):
            while limit > 0 and (data := source.recv(65536)):
                if self.hush.is_set() and not hushed:
                    # The line is dead, and neither side is told.
                    continue
                target.sendall(data[:limit])
                limit -= len(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self._server.shutdown(socket.SHUT_RDWR)
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        for each in (self._server, *self._open):
            each.close()
