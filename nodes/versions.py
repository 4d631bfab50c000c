"""What made a result: versions of the program and of all that it computes with, and the kind of machine."""

from __future__ import annotations

import platform
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version

_NAME = re.compile(r"[\w.-]+")


@cache
def versions() -> dict[str, str]:
    """Versions by name: photonstream, Python, every package that photonstream requires; ``machine``: its kind.

    With other versions a result may differ in its last bits. The names are those of the package's own requirements,
    but for the optional ones.
    """
    found = {"photonstream": version("photonstream"), "python": platform.python_version()}
    for requirement in requires("photonstream") or ():
        name = _NAME.match(requirement)
        if name is not None and "extra ==" not in requirement:
            found[name[0]] = _version(name[0])
    return {**found, "machine": f"{platform.system()} {platform.machine()}"}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
