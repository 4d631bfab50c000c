"""A virtual environment for each reader, so that their pins touch neither each other nor this project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# What pip is asked for, by reader. phconvert is fastest with numba; ETA still uses pkg_resources.
REQUIREMENTS = {
    "tttrlib": ["tttrlib"],
    "ptufile": ["ptufile"],
    "ptufile + numpy": ["ptufile"],
    "phconvert": ["phconvert", "numba"],
    "trattoria": ["trattoria"],
    "snAPI": ["snAPI"],
    "ETA": ["etabackend", "setuptools<81"],
}


def folder(cache: Path, reader: str) -> Path:
    """Where the environment of a reader is."""
    return cache / "environments" / REQUIREMENTS[reader][0]


def interpreter(cache: Path, reader: str) -> Path | None:
    """The interpreter that has this reader, None where it was not set up."""
    python = folder(cache, reader) / "bin" / "python"
    return python if (python.parent / "set-up").exists() else None


def set_up(cache: Path) -> dict[str, str]:
    """Make the environments that are missing; returns why by reader where that failed."""
    failures = {}
    for reader, packages in REQUIREMENTS.items():
        if interpreter(cache, reader):
            continue
        place = folder(cache, reader)
        print(f"setting up {', '.join(packages)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        installed = subprocess.run(
            [place / "bin" / "pip", "install", "--quiet", *packages], capture_output=True, text=True
        )
        if installed.returncode == 0:
            (place / "bin" / "set-up").touch()
        else:
            errors = [line for line in installed.stderr.splitlines() if "ERROR" in line]
            failures[reader] = "does not install: " + (errors[-1] if errors else "pip failed")[:150]
    return failures


def home(cache: Path) -> dict[str, str]:
    """The environment variable that keeps logs which a reader writes out of the real home folder."""
    place = cache / "home"
    place.mkdir(parents=True, exist_ok=True)
    return {"HOME": str(place)}
