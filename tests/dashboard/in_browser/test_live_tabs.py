"""Tabs of the live page in a real browser: saved plots, tabs that hang or are closed, and pages of others."""

import gc
import http.client
import json
import re
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import urlsplit

import pytest

from photonstream.dashboard.app import Tab
from photonstream.dashboard.exports import TABLES
from photonstream.dashboard.folder import read_curve
from tests.dashboard.in_browser.asking import column, wait_for_words, wait_until


def open_tabs():
    """The tabs that are alive in this process."""
    gc.collect()
    return [thing for thing in gc.get_objects() if isinstance(thing, Tab)]


def saved(page, plot, kind):
    """What a click on the button saves."""
    page.hover(f"#plot-{plot}")
    with page.expect_download() as found:
        page.click(f"#save-{plot}-{kind}")
    assert found.value.suggested_filename == f"nc.ptu_{plot}.{kind}"
    return Path(found.value.path()).read_bytes()


def test_every_plot_is_saved_as_picture_and_table(page):
    for plot in TABLES:
        names, units, *rows = saved(page, plot, "csv").decode().splitlines()
        assert len(names.split(",")) == len(units.split(",")) > 1
        assert rows
        assert all(row.count(",") == names.count(",") for row in rows)
    assert saved(page, "decay", "png")[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"<svg" in saved(page, "pairs", "svg")[:400]
    table = read_curve_text(saved(page, "beta", "csv"))
    assert table["photons"].tolist() == column(page, "beta", "photons")
    assert table["beta"][-1] == pytest.approx(27.0)
    assert table["beta_high95"][-1] > table["beta_high"][-1] > 27.0


def read_curve_text(content):
    with NamedTemporaryFile(suffix=".csv") as file:
        Path(file.name).write_bytes(content)
        return read_curve(Path(file.name))


def test_a_tab_that_hangs_is_sent_nothing_more_and_holds_up_nobody(visit, going_run, serve_page):
    url, _ = serve_page(going_run.address)
    before = set(map(id, open_tabs()))
    stuck = visit(url).page
    (tab,) = (t for t in open_tabs() if id(t) not in before)
    well = visit(url).page
    session = stuck.context.new_cdp_session(stuck)
    session.send("Debugger.enable")
    session.send("Debugger.pause")
    sent = tab.sent
    for k in range(1, 6):
        going_run.status(lag_s=10.0 * k)
        wait_for_words(well, "#lag", f"{10 * k}.0 s behind")
    assert tab.sent <= sent + 1
    assert not tab.ready
    session.send("Debugger.resume")
    session.send("Debugger.disable")
    wait_for_words(stuck, "#lag", "50.0 s behind")
    assert tab.sent <= sent + 3


def test_a_closed_tab_is_forgotten(visit, going_run, serve_page):
    url, _ = serve_page(going_run.address)
    before = len(open_tabs())
    pages = [visit(url).page for _ in range(3)]
    assert len(open_tabs()) == before + 3
    for page in pages[:2]:
        page.close()
    wait_until(pages[2], lambda: len(open_tabs()) == before + 1)
    going_run.status(lag_s=7.0)
    wait_for_words(pages[2], "#lag", "7.0 s behind")


def test_pages_of_others_may_not_talk_to_it(going_run, serve_page):
    url, _ = serve_page(going_run.address)
    host = urlsplit(url)
    connection = http.client.HTTPConnection(host.hostname, host.port)
    connection.request("GET", "/")
    page = connection.getresponse().read().decode()
    token = json.loads(re.search(r'\[\{"token":("[^"]+")', page).group(1))
    answers = {}
    for origin in (f"http://{host.netloc}", "http://elsewhere.example"):
        ws = http.client.HTTPConnection(host.hostname, host.port)
        ws.request(
            "GET",
            "/ws",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Protocol": f"bokeh, {token}",
                "Origin": origin,
            },
        )
        answers[origin] = ws.getresponse().status
        ws.close()
    connection.close()
    assert list(answers.values()) == [101, 403]
