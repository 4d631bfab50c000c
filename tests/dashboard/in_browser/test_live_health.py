"""What the live page says loudly: records that are missing, and a server that is not heard any more."""

import threading
from urllib.parse import urlsplit

import pytest

from tests.dashboard.in_browser.asking import DRAWN, wait_for_words, words

# How long a server may be silent before the page says so, and some more.
PATIENCE_MS = 30_000


def loud(page, place):
    return page.evaluate("place => document.querySelector(place).classList.contains('loud')", place)


def ledger_of_source(**more):
    return {"ledger": {"node": "source", "events_in": 20000, "events_out": 20000, "events_lost": 0, **more}}


def test_what_the_device_lost_is_told_with_what_nobody_knows(page, going_run):
    assert not loud(page, "#ledger")
    gaps = {"count": 3, "lost_records": 121454, "lost_s": 2.5, "uncounted": 1}
    going_run.put("source", "status", ledger_of_source(gaps=gaps))
    wait_for_words(page, "#ledger", "3 gaps")
    assert "(121 454 records lost, an unknown number lost in 1 of them)" in words(page, "#ledger")
    assert loud(page, "#ledger")


def test_a_file_that_is_cut_is_said_to_be(page, going_run):
    note = "the header declares 40000 records, the file holds 20000"
    going_run.put(
        "source",
        "progress",
        {"records": 20000, "total": 20000, "time_s": 3.0, "declared": 40000, "notes": [note]},
    )
    going_run.status(state="complete", problems=[note])
    wait_for_words(page, "#state", "Complete")
    assert words(page, "#ledger").startswith("20 000 records of the 40 000 in its header: THE FILE IS CUT, ")
    assert loud(page, "#ledger")
    assert words(page, "#problems") == note


def test_a_server_that_stands_still_is_noticed_by_the_page_and_forgiven(visit, going_run, serve_page):
    going = threading.Event()
    going.set()
    url, _ = serve_page(going_run.address, going=going)
    page = visit(url).page
    assert page.is_hidden("#silence")
    going.clear()
    page.wait_for_selector("#silence", timeout=PATIENCE_MS)
    assert words(page, "#silence").startswith(
        "The page's server says nothing: what is shown is old. Nothing has come"
    )
    page.wait_for_function(
        "/for ([89]|\\d\\d) s/.test(document.querySelector('#silence').innerText)", timeout=PATIENCE_MS
    )
    assert loud(page, "#silence")
    assert page.is_hidden("#state")
    assert page.is_hidden("#link")
    assert words(page, "#beta") == "β = 27.0 ± 1.1 %"
    going.set()
    page.wait_for_selector("#silence", state="hidden")
    assert words(page, "#state") == "Running."
    assert words(page, "#link") == "link connected"
    going_run.status(lag_s=7.0)
    wait_for_words(page, "#lag", "7.0 s behind")


def test_a_server_that_is_gone_is_said_loudly_until_it_comes_back(visit, going_run, serve_page):
    url, stop = serve_page(going_run.address)
    page = visit(url).page
    stop()
    wait_for_words(page, "#silence", "The page's server is gone: what is shown is old.")
    assert loud(page, "#silence")
    serve_page(going_run.address, int(urlsplit(url).port))
    page.wait_for_selector("#silence", state="hidden", timeout=PATIENCE_MS)
    page.wait_for_function(DRAWN)
    assert words(page, "#state") == "Running."


def test_the_end_of_a_run_and_of_its_page_is_no_alarm(visit, going_run, serve_page):
    url, stop = serve_page(going_run.address)
    page = visit(url).page
    going_run.close()
    wait_for_words(page, "#state", "The run has ended")
    stop()
    wait_for_words(page, "#silence", "The page's server has ended, too.")
    assert not loud(page, "#silence")
    assert "its last results are shown" in words(page, "#state")


def test_between_two_recordings_the_page_says_what_follows(visit, going_run, serve_page):
    url, stop = serve_page(going_run.address)
    page = visit(url).page
    going_run.status(state="ended", followed=True)
    going_run.close()
    wait_for_words(
        page, "#state", "The next recording is being started: shown are the results of the last one."
    )
    stop()
    wait_for_words(page, "#silence", "The next recording is being started: the page comes back with it.")
    assert not loud(page, "#silence")


@pytest.mark.parametrize("acting", [True, False])
def test_a_link_that_is_not_valid_any_more_is_said_to_be_and_the_new_one_brings_the_page_back(
    visit, going_run, serve_page, acting
):
    links = []

    def begin(port=0):
        first, stop = serve_page(going_run.address, port, links, host="0.0.0.0")
        return (first if acting else links[-1]), stop

    url, stop = begin()
    page = visit(url).page
    stop()
    new, _ = begin(urlsplit(url).port)
    wait_for_words(
        page, "#silence", "this page's link is not valid any more: open the link that photonstream printed"
    )
    assert loud(page, "#silence")
    page.context.new_page().goto(new)
    page.wait_for_selector("#silence", state="hidden", timeout=PATIENCE_MS)
    page.wait_for_function(DRAWN)


def test_a_long_reason_can_be_read_without_a_mouse(page, going_run, result):
    reason = " ".join(f"reason number {k} is a sentence of some length." for k in range(12))
    fit = {**result["fit"], "model": "none", "reason": reason}
    going_run.put("lifetime", "fit", {"summary": {"fit": fit, "beta": None}})
    wait_for_words(page, "#reason", "number 11")
    cut = "() => { const p = document.querySelector('#reason'); return p.scrollHeight > p.clientHeight + 1; }"
    assert page.evaluate(cut)
    for open_it in (lambda: page.focus("#reason"), lambda: page.click("#reason")):
        open_it()
        assert not page.evaluate(cut)
        page.evaluate("document.activeElement.blur()")
        assert page.evaluate(cut)


def test_what_is_long_in_the_strip_is_written_smaller_and_not_cut(page, going_run, result):
    fit = {**result["fit"], "model": "mono", "verdict": "does not fit"}
    going_run.put("lifetime", "fit", {"summary": {"fit": fit, "beta": None}})
    wait_for_words(page, "#verdict", "One component does not fit")
    assert page.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('#verdict'))")


def test_a_recording_that_has_ended_is_not_said_to_be_live(page, going_run):
    going_run.put("source", "events", {"events": [], "counts": {"start": 1}})
    going_run.status(clocked=False, says="", has_next=True)
    wait_for_words(page, "#state", "Live.")
    going_run.put("source", "events", {"events": [], "counts": {"start": 1, "stop": 1}})
    wait_for_words(page, "#state", "The recording has ended: its last results are being made.")
    going_run.status(followed=True)
    wait_for_words(page, "#state", "its last results are being made, then the next one begins.")
    assert words(page, "#recording") == "ended"


# How much wider the words of an element are than the room that they have, where that is a part of a pixel less.
TOO_WIDE = """([id, less]) => {
  const element = document.querySelector(id);
  const natural = () => {
    const free = element.cloneNode(true);
    free.id = "";
    free.style.cssText = `display: inline-block; width: max-content; font-size: ${getComputedStyle(element).fontSize}`;
    element.parentElement.append(free);
    const {width} = free.getBoundingClientRect();
    free.remove();
    return width;
  };
  element.style.fontSize = "";
  element.style.width = `${natural() - less}px`;
  window.dispatchEvent(new Event("resize"));
  return natural() - element.getBoundingClientRect().width;
}"""


def test_a_part_of_a_pixel_cuts_no_number_of_the_strip(page):
    assert words(page, "#g2") != ""
    size = "id => getComputedStyle(document.querySelector(id)).fontSize"
    for less in (0.0, 0.1, 0.3, 0.49, 0.7, 1.3):
        assert page.evaluate(TOO_WIDE, ["#g2", less]) <= 0.02, less
        assert (page.evaluate(size, "#g2") == "20px") == (less == 0.0), less
