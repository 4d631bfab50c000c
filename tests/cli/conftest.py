"""What tests of commands have in common."""

import pytest


@pytest.fixture
def ended():
    """Takes processes: whatever a test leaves of them is ended."""
    started = []
    yield started.append
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
