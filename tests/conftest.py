"""Where the real recordings are: PHOTONSTREAM_DATA, or a folder beside the checkout; tests skip without them."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data():
    """The folder of real recordings."""
    named = os.environ.get("PHOTONSTREAM_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "PROVENANCE.tsv").exists():
        if named:
            pytest.fail(f"PHOTONSTREAM_DATA names {named}, which holds no PROVENANCE.tsv")
        pytest.skip("no folder of real recordings (PHOTONSTREAM_DATA)")
    return folder
