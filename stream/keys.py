"""CURVE keys: files that say who this machine is to others, and whom it admits. docs/nodes.md has the commands.

A folder holds one private key, ``NAME.secret``, that of this machine, and the public key of every machine that is
admitted, ``NAME.public``. A machine that listens is called as it is addressed, such as ``10.0.0.2``. What is secret is
never shown: not in a text, not in an error.
"""

from __future__ import annotations

import os
import re
import struct
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import zmq
from zmq.utils import z85

from photonstream.stream.node import ParameterError

PUBLIC, SECRET = ".public", ".secret"
USUAL_FOLDER = Path("~/.config/photonstream/keys")
MOST_FILE_BYTES = 4096
# Bits of a file's mode: others may read it, others may change it.
READ_BY_OTHERS, CHANGED_BY_OTHERS = 0o077, 0o022

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_CHARACTERS, _BYTES = 40, 32


class KeysError(ParameterError):
    """Keys that are missing, wrong or open to others; the text names the file or the address, and what to do."""


@dataclass(frozen=True)
class Keys:
    """The keys of ``folder``: this machine's pair, called ``name``, and the public key of every ``known`` machine."""

    folder: Path
    name: str
    public: bytes
    secret: bytes = field(repr=False)
    known: Mapping[str, bytes]

    @property
    def admitted(self) -> frozenset[bytes]:
        """The public keys of those who may connect, 32 bytes each; this machine is among them."""
        return frozenset(z85.decode(public) for public in (self.public, *self.known.values()))

    def of_host(self, host: str) -> bytes:
        """The public key with which ``host`` has to answer. Raises KeysError where the folder holds none.

        A loopback address that is not named in the folder is this machine.
        """
        if host in self.known:
            return self.known[host]
        if is_loopback(host):
            return self.public
        raise KeysError(
            f"there is no key of {host} in {self.folder}: copy the public file of that machine there as {host}{PUBLIC}"
        )


def host_of(endpoint: str) -> str | None:
    """The host of a tcp endpoint; None for sockets that do not leave this machine."""
    if not endpoint.startswith("tcp:"):
        return None
    return endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address of this machine that no other can reach."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def leaves_machine(endpoint: str) -> bool:
    """Whether others than this machine can be at ``endpoint``."""
    host = host_of(endpoint)
    return host is not None and not is_loopback(host)


def usual_folder() -> Path:
    """Where keys are when nobody says where."""
    return USUAL_FOLDER.expanduser()


def keys_for(folder: Path | None, endpoints: Iterable[str]) -> Keys | None:
    """The keys of ``folder``, or those of the usual one where an endpoint asks for keys; None where none does.

    Raises KeysError where they are missing or cannot be used.
    """
    if folder is not None:
        return read_keys(folder)
    outside = next((endpoint for endpoint in endpoints if leaves_machine(endpoint)), None)
    if outside is None:
        return None
    try:
        return read_keys(usual_folder())
    except KeysError as error:
        raise KeysError(f"{outside} is open to other machines, which needs keys, and {error}") from None


def read_keys(folder: Path) -> Keys:
    """The keys of ``folder``. Raises KeysError where there are none, or others can read or change them."""
    if not folder.is_dir():
        raise KeysError(
            f"{folder} holds none; photonstream keys --make NAME --keys {folder} makes this machine's"
        )
    _check_mode(folder, CHANGED_BY_OTHERS, "changed", 0o700)
    own = sorted(folder.glob(f"*{SECRET}"))
    if len(own) != 1:
        what = "no private key" if not own else f"{len(own)} private keys, of which one can be this machine's"
        raise KeysError(
            f"{folder} holds {what}; photonstream keys --make NAME --keys {folder} makes one where none is"
        )
    _check_mode(own[0], READ_BY_OTHERS, "read", 0o600)
    secret = _read(own[0], "secret")
    public = zmq.curve_public(secret)
    known = {}
    for path in sorted(folder.glob(f"*{PUBLIC}")):
        _check_mode(path, CHANGED_BY_OTHERS, "changed", 0o644)
        known[_name_of(path)] = _read(path, "public")
    name = _name_of(own[0])
    if known.setdefault(name, public) != public:
        raise KeysError(
            f"{folder / (name + PUBLIC)} does not belong to the private key {own[0].name} beside it"
        )
    return Keys(folder, name, public, secret, known)


def make_keys(folder: Path, name: str) -> Keys:
    """Make this machine's pair, called ``name``, in ``folder``. Raises KeysError where there is one already."""
    _check_name(name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = sorted(folder.glob(f"*{SECRET}"))
    if own:
        raise KeysError(f"{own[0]} is there already, and a private key is never overwritten")
    public, secret = zmq.curve_keypair()
    own_public = folder / (name + PUBLIC)
    if own_public.exists():
        raise KeysError(f"{own_public} is there already, and is the public key of somebody else")
    _write(
        folder / (name + SECRET), f"# private key of {name}: stays on this machine\nsecret = ", secret, 0o600
    )
    _write(
        own_public, f"# public key of {name}: for the machines that are to admit it\npublic = ", public, 0o644
    )
    return read_keys(folder)


def admit(folder: Path, path: Path, name: str | None = None) -> str:
    """Take the public key at ``path`` into ``folder``, as ``name`` or as the file is called; returns the name.

    Raises KeysError for what is no public key, and where another one has that name.
    """
    name = name or _name_of(path)
    _check_name(name)
    public, place = _read(path, "public"), folder / (name + PUBLIC)
    if place.exists():
        if _read(place, "public") != public:
            raise KeysError(
                f"{place} is there already with another key; take it away first if that one is void"
            )
        return name
    _write(place, f"# public key of {name}\npublic = ", public, 0o644)
    return name


def _name_of(path: Path) -> str:
    return path.name.removesuffix(PUBLIC).removesuffix(SECRET)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise KeysError(
            f"a machine cannot be called {name!r:.80}: its address, or a word of letters, digits, dots, _ and - can be"
        )


def _check_mode(path: Path, forbidden: int, what: str, right: int) -> None:
    # Windows has no such bits.
    if sys.platform != "win32" and (mode := path.stat().st_mode & 0o777) & forbidden:
        raise KeysError(
            f"{path} can be {what} by other users of this machine (mode {mode:04o}): chmod {right:o} {path}"
        )


def _read(path: Path, what: str) -> bytes:
    """The key that ``path`` says is ``what``. No error shows anything of the content."""
    try:
        with path.open("rb") as file:
            content = tomllib.loads(file.read(MOST_FILE_BYTES).decode())
    except OSError as error:
        raise KeysError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        content = {}
    if what == "public" and "secret" in content:
        raise KeysError(f"{path} is a private key, which stays where it is: only NAME{PUBLIC} is for others")
    key = content.get(what)
    if not isinstance(key, str) or not _is_key(key):
        raise KeysError(f"{path} is no {'private' if what == 'secret' else 'public'} key of photonstream")
    return key.encode()


def _is_key(text: str) -> bool:
    try:
        return len(text) == _CHARACTERS and len(z85.decode(text)) == _BYTES
    # Characters that are none of its alphabet, and numbers too large for it.
    except (ValueError, KeyError, struct.error):
        return False


def _write(path: Path, head: str, key: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f'{head}"{key.decode()}"\n')
