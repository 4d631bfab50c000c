"""Pages in a real browser."""

from types import SimpleNamespace

import pytest

from tests.dashboard.in_browser.asking import DRAWN


@pytest.fixture
def visit(browser):
    """Opens a page; gives it with its complaints and whatever it asked for."""
    contexts = []

    def open_page(url, ready=DRAWN):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        contexts.append(context)
        page = context.new_page()
        complaints, requests = [], []
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: requests.append(socket.url))
        page.goto(url)
        page.wait_for_function(ready)
        return SimpleNamespace(page=page, complaints=complaints, requests=requests)

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit, going_run, serve_page):
    """The page of the run that goes on."""
    url, _ = serve_page(going_run.address)
    return visit(url).page
