"""Every page by a standard checker of accessibility (axe-core), in both themes, and by the keyboard alone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from photonstream.dashboard.report import write_report

IDLE = "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
DRAWN = "() => window.Bokeh?.documents[0]?.get_model_by_name('source trace')?.data?.x?.length > 0"
# What WCAG 2.2 asks at its levels A and AA, and what axe counts as good practice.
ASKED = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture
def open_page(browser):
    """Opens a page at an address, once it is drawn; our own policy would keep the checker's script out."""
    contexts = []

    def begin(url, ready, *, night=False):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)
        contexts.append(context)
        page = context.new_page()
        if night:
            page.add_init_script("localStorage.setItem('photonstream-night', '1')")
        page.goto(url)
        page.wait_for_function(ready)
        return page

    yield begin
    for context in contexts:
        context.close()


def violations(page):
    """What the checker objects to: rule, place, and what is asked there."""
    found = Axe().run(page, options=ASKED).response["violations"]
    return [
        f"{each['id']}: {place['html'][:200]}: {place['failureSummary']}"
        for each in found
        for place in each["nodes"]
    ]


def check(page):
    found = violations(page)
    assert not found, "\n".join(found)


def test_the_report(open_page, write_run, result):
    page = open_page(write_report(write_run(result)).as_uri(), IDLE)
    check(page)


@pytest.mark.parametrize("night", [False, True], ids=["bright", "dark"])
@pytest.mark.parametrize("acts", [True, False], ids=["acting", "watching"])
def test_the_live_page(open_page, going_run, serve_page, acts, night):
    links = []
    url, _ = serve_page(going_run.address, links=links)
    page = open_page(url if acts else links[0], DRAWN, night=night)
    check(page)
    page.click("#settings")
    check(page)
