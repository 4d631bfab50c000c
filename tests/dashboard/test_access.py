"""Who gets the page: over real connections."""

import http.client
from urllib.parse import urlsplit

import pytest

from photonstream.dashboard.access import ACT, WATCH, Access


def test_a_token_opens_what_it_is_for():
    access = Access.by_tokens()
    paths = (ACT, "/ws", WATCH, "/watch/ws", "/static/js/bokeh.min.js", "/watchful")
    assert all(access.allows(path, access.act) for path in paths)
    assert [access.allows(path, access.watch) for path in paths] == [False, False, True, True, True, False]
    for wrong in (None, "", access.act[:-1], access.act + "x", "ß"):
        assert not any(access.allows(path, wrong) for path in paths)
    assert all(Access().allows(path, None) for path in paths)
    assert Access.by_tokens().act != access.act


def ask(url, path, cookie=None):
    connection = http.client.HTTPConnection(urlsplit(url).hostname, urlsplit(url).port, timeout=10)
    connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


@pytest.mark.parametrize("read_only", [False, True])
def test_off_the_machine_a_link_leads_in_and_its_token_stays_out_of_sight(
    going_run, serve_page, read_only, caplog, capfd
):
    links = []
    # Every address of the machine, so also this one: but not the one that only this machine can reach.
    acting, _ = serve_page(going_run.address, host="0.0.0.0", links=links)
    link = urlsplit(links[0] if read_only else acting)
    url = f"http://127.0.0.1:{link.port}/"
    token = link.query.removeprefix("token=")
    assert len(token) >= 32
    assert ask(url, link.path)[0].status == 403
    assert ask(url, f"{link.path}?token={token[:-1]}")[0].status == 403
    answer, body = ask(url, f"{link.path}?{link.query}")
    assert (answer.status, answer.headers["Location"]) == (302, link.path)
    assert token not in body + answer.headers["Location"]
    kept = answer.headers["Set-Cookie"]
    assert "HttpOnly" in kept
    cookie = kept.partition(";")[0]
    answer, body = ask(url, link.path, cookie)
    assert answer.status == 200
    assert token not in body
    assert ask(url, "/static/js/bokeh.min.js", cookie)[0].status == 200
    assert ask(url, "/static/js/bokeh.min.js")[0].status == 403
    # A token leads to a page of ours and nowhere else.
    assert ask(url, f"//elsewhere.example/?{link.query}")[0].status == 403
    # Who may only watch does not get where one acts.
    assert ask(url, "/", cookie)[0].status == (403 if read_only else 200)
    assert ask(url, "/ws", cookie)[0].status == (403 if read_only else 400)
    assert token not in caplog.text + "".join(capfd.readouterr())


def test_where_no_token_is_needed_none_is_kept(going_run, serve_page):
    url, _ = serve_page(going_run.address)
    for odd in ("%ff%0a", "x&token=%00", "x"):
        answer, _ = ask(url, f"/?token={odd}")
        assert answer.status == 200
        assert "photonstream-" not in (answer.headers["Set-Cookie"] or "")
    assert ask(url, "//elsewhere.example/?token=x")[0].status == 404
