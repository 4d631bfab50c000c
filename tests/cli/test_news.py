"""What the terminal says of a recording while it is read."""

from photonstream.cli.news import News
from photonstream.nodes.tag_source import EVENTS
from photonstream.stream.chunk import Result
from photonstream.stream.runner import Progress


def progress(*, warnings=None, events=()):
    status = None if warnings is None else {"kind": "status", "record": 0, "text": "", "warnings": warnings}
    value = {"events": list(events), "status": status}
    return Progress(results={("source", EVENTS): Result("source", EVENTS, value)})


def test_each_warning_of_the_recorder_is_said_when_it_comes_and_when_it_comes_back():
    news = News()
    said = [
        list(news.of(progress(warnings=warnings)))
        for warnings in (None, [], ["hot"], ["hot"], ["hot", "the disk has room for 4 s more"], [], ["hot"])
    ]
    assert said == [
        [],
        [],
        ["warning: hot"],
        [],
        ["warning: the disk has room for 4 s more"],
        [],
        ["warning: hot"],
    ]


def test_what_happened_is_said_once_and_a_gap_once_its_time_is_known():
    gap = {"kind": "gap", "record": 7, "text": "records lost", "cause": "overrun", "time_s": None}
    stop = {"kind": "stop", "record": 9, "text": "done", "time_s": 2.0}
    news = News()
    assert list(news.of(progress(events=[gap]))) == []
    known = [{**gap, "time_s": 1.5}, {"kind": "start", "record": 0, "text": "go", "time_s": 0.0}, stop]
    assert list(news.of(progress(events=known))) == [
        "gap at 1.500 s (overrun): records lost",
        "stop at 2.000 s: done",
    ]
    assert list(news.of(progress(events=known))) == []
