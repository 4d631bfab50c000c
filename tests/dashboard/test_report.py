"""The page as a file: whole, closed in itself, and never broken by what is in the folder."""

import json
import re

import pytest

from photonstream.dashboard.report import ReportError, write_report

EVIL = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"&"


def visible(page):
    """The page without Bokeh's code and data."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_page_needs_nothing_from_outside(write_run, result):
    path = write_report(write_run(result))
    page = path.read_text(encoding="utf-8")
    assert path.name == "report.html"
    assert path.stat().st_size < 5_000_000
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=[\"']?(https?:)?//", page)
    assert "default-src 'none'" in page
    assert [p.name for p in path.parent.glob(".*")] == []


def test_it_shows_what_was_recorded(write_run, result):
    page = visible(write_report(write_run(result)).read_text(encoding="utf-8"))
    for words in (
        "NC 12",
        "nc.ptu",
        "ab" * 32,
        "2021-05-04T12:00:00",
        "first particle",
        "the last record is cut",
        "30\u2009300",
        "9\u2009700 overflows",
        "lifetime.s",
        "8\u00a0kcps and above",
    ):
        assert words in page, words
    assert re.search(
        r'selected</td><td class="figure">15\.\d+\u00a0±\u00a00\.\d+\u00a0kcps</td><td class="figure">66\.7\u00a0%',
        page,
    )


def test_it_shows_what_made_it_and_the_checksums_of_what_went_in(write_run, result):
    result["fit"]["irf_sha256"] = "cd" * 32
    result["calibration"] = {"reason": "", "runs": [{"folder": "runs/red", "sha256": "ef" * 32}]}
    page = visible(write_report(write_run(result)).read_text(encoding="utf-8"))
    versions = page.partition("Versions and checksums")[2]
    for words in ("0.1.0", "python 3.11.2, numpy 2.1.0", "Linux x86_64", "cd" * 32, "runs/red", "ef" * 32):
        assert words in versions, words


def test_text_is_escaped_wherever_it_stands(write_run, result):
    places = {
        "recording": ("comment", "path", "created", "sha256", "format"),
        "experiment": ("particle", "sample", EVIL),
        "states": ("method",),
        "fit": ("reason",),
        "parameters": (EVIL,),
    }
    for section, keys in places.items():
        for key in keys:
            result[section][key] = EVIL
    result["recording"]["notes"] = [EVIL]
    result["discarded"] = {"utc": EVIL, "why": EVIL}
    result["ledger"][0] |= {"node": EVIL, "losses": [{"events": 1, "place": 2, "cause": EVIL}]}
    page = write_report(write_run(result)).read_text(encoding="utf-8")
    assert "<script>window.hacked" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;window.hacked = 1") >= 14


def test_a_discarded_run_says_so_before_all_else(write_run, result):
    page = visible(write_report(write_run(result)).read_text(encoding="utf-8"))
    assert "DISCARDED" not in page
    result["discarded"] = {"utc": "2026-05-04T10:00:00.000+00:00", "why": "drifted away"}
    page = visible(write_report(write_run(result)).read_text(encoding="utf-8"))
    assert "DISCARDED (2026-05-04 10:00:00 UTC): drifted away" in page
    assert page.index("drifted away") < page.index('class="headline"')


def test_what_was_done_to_the_run_is_told(write_run, result):
    folder = write_run(result)
    assert "What was done" not in visible(write_report(folder).read_text(encoding="utf-8"))
    command = {"what": "command", "utc": "2026-05-04T10:00:00.000+00:00", "time_s": 12.5, "by": "ctl"}
    set_s = {"name": "set", "values": {"node": "lifetime", "name": "s", "value": 3.5}}
    refused = {"name": "note", "values": {"text": EVIL}, "done": False, "answer": "too long"}
    lines = [
        command | {"name": "note", "values": {"text": "of an earlier run"}, "done": True, "answer": ""},
        {"what": "begin"},
        command | set_s | {"done": True, "answer": "everything is read again"},
        command | refused,
        ["no object"],
    ]
    text = "\n".join([*map(json.dumps, lines), '{"what": "comma'])
    (folder / "log.jsonl").write_text(text, encoding="utf-8")
    whole = write_report(folder).read_text(encoding="utf-8")
    page = visible(whole)
    assert "lifetime.s = 3.5</td><td>everything is read again" in page
    assert "refused: too long" in page
    assert "of an earlier run" not in page
    assert "<script>window.hacked" not in whole


def test_what_was_dragged_is_told_once(write_run, result):
    folder = write_run(result)
    on, s = ({"node": node, "name": name} for node, name in (("states", "on"), ("lifetime", "s")))
    seconds = [(10.0, on), (10.1, on), (10.9, on), (12.0, on), (12.1, s), (12.2, on)]
    deeds = [
        {
            "what": "command",
            "name": "set",
            "by": "page",
            "done": True,
            "answer": "",
            "utc": f"2026-05-04T10:00:{second:06.3f}+00:00",
            "values": {**of, "value": 1000 + k},
        }
        for k, (second, of) in enumerate(seconds)
    ]
    # Of another hand, and one that was refused: that stays.
    deeds += [deeds[-1] | {"by": "ctl"}, deeds[-1] | {"by": "ctl", "done": False, "answer": "no"}]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, deeds)), encoding="utf-8")
    page = visible(write_report(folder).read_text(encoding="utf-8"))
    told = re.findall(r"(?:states.on|lifetime.s) = (\d+)", page)
    assert told == ["1002", "1003", "1004", "1005", "1005", "1005"]


def test_text_on_a_plot_is_escaped(write_run, result):
    result["fit"] = {"model": "none", "reason": EVIL}
    result["beta"] = None
    decay = "time_start,time_stop,counts,counts_all_states\nns,ns,counts,counts\n0,1,5,6\n1,2,3,4\n"
    page = write_report(write_run(result, decay=decay)).read_text(encoding="utf-8")
    assert "<script>window.hacked" not in page
    assert "<img src=x" not in page


def test_an_absurdly_long_comment_is_cut(write_run, result):
    result["recording"]["comment"] = "x" * 3_000_000
    path = write_report(write_run(result))
    assert path.stat().st_size < 5_000_000
    assert "more characters in result.json" in path.read_text(encoding="utf-8")


NO_ROWS = "time_start,time_stop,counts\ns,s,counts\n"
NAN_ROWS = "time_start,time_stop,counts,rate,on\ns,s,counts,1/s,\n,,,,\n,,,,\n"


@pytest.mark.parametrize(
    ("leave_out", "texts"),
    [
        (("flid",), {}),
        (("trace",), {}),
        (("decay",), {}),
        (("trace", "decay", "flid"), {}),
        ((), {"trace": NO_ROWS, "decay": NO_ROWS, "flid": NO_ROWS}),
        ((), {"trace": NAN_ROWS, "decay": NAN_ROWS, "flid": NAN_ROWS}),
        ((), {"trace": "time_start,time_stop\ns,s\n0,1\n1,2\n", "decay": "counts\ncounts\n1\n2\n"}),
        ((), {"trace": "time_start,time_stop,counts,rate,on\ns,s,counts,1/s,\n0,0.01,0,0,1\n"}),
        ((), {"trace": "", "decay": "", "flid": ""}),
    ],
)
def test_missing_and_empty_curves(write_run, result, leave_out, texts):
    page = write_report(write_run(result, leave_out=leave_out, **texts)).read_text(encoding="utf-8")
    assert "27.0" in visible(page)


@pytest.mark.parametrize("value", [None, {}, [], [3], {"levels": [1], "notes": 4, "goodness": []}, "text", 5])
def test_missing_or_odd_sections(write_run, result, value):
    for key in ("fit", "states", "recording", "intensity", "parameters", "ledger"):
        result[key] = value
    assert "NC 12" in visible(write_report(write_run(result)).read_text(encoding="utf-8"))


def test_a_bare_result(write_run):
    page = write_report(write_run({}, leave_out=("trace", "decay", "flid"))).read_text(encoding="utf-8")
    assert "no beta" in visible(page)
    assert "unknown" in visible(page)


def test_a_new_page_replaces_the_old_one(write_run, result):
    folder = write_run(result)
    (folder / "report.html").write_text("old")
    assert write_report(folder).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_an_error_leaves_the_old_page(write_run, result):
    folder = write_run(result)
    (folder / "report.html").write_text("old")
    (folder / "result.json").unlink()
    with pytest.raises(ReportError, match="run"):
        write_report(folder)
    assert (folder / "report.html").read_text() == "old"
