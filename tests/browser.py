"""The browser that is driven here: Debian's, or another one by PHOTONSTREAM_CHROMIUM."""

from __future__ import annotations

import os
import shutil

# The one without windows costs half.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# None where this machine has none.
CHROMIUM = os.environ.get("PHOTONSTREAM_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
