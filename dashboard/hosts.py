"""By which names and addresses others reach this machine."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import ip_address

# Addresses that no machine has (RFC 5737, RFC 3849), to ask by which of its own this one would call them.
_NOBODY = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def reachable_hosts(host: str) -> list[str]:
    """Where what listens at ``host`` is found: there, or for any address (0.0.0.0) at those that there are."""
    try:
        if not ip_address(host).is_unspecified:
            return [host]
    except ValueError:
        return [host]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found: list[str] = []
    # No packet leaves for that; a machine without a network has no such address.
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((_NOBODY[family], 9))
        found.append(str(probe.getsockname()[0]))
    name = socket.gethostname()
    with suppress(OSError):
        told = [str(each[4][0]) for each in socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)]
        others = [each for each in told if not each.startswith("fe80:") and not ip_address(each).is_loopback]
        found += [*others, *([name] if others else [])]
    return list(dict.fromkeys(found)) or ["::1" if family == socket.AF_INET6 else "127.0.0.1"]


def in_url(host: str) -> str:
    """As it stands in an address line."""
    return f"[{host}]" if ":" in host else host
