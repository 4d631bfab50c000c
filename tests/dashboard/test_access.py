"""Who gets the page: over real connections."""

import http.client
import socket
from urllib.parse import urlsplit

import pytest

from photonstream.dashboard.access import ACT, WATCH, Access
from photonstream.dashboard.hosts import in_url, reachable_hosts
from tests.dashboard.in_browser.asking import DRAWN


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


@pytest.mark.parametrize("first", ["acting", "read-only"])
def test_both_links_go_on_side_by_side_in_one_browser(browser, going_run, serve_page, first):
    links = []
    acting, _ = serve_page(going_run.address, host="0.0.0.0", links=links)
    context = browser.new_context()
    pages = {"acting": context.new_page(), "read-only": context.new_page()}
    opened = {"acting": acting, "read-only": links[0]}
    for kind in sorted(opened, key=lambda each: each != first):
        pages[kind].goto(opened[kind])
    for kind, page in pages.items():
        assert page.reload().status == 200
        page.wait_for_function(DRAWN)
        assert page.is_visible("#read-only") == (kind == "read-only")
    # Whoever has the read-only link alone does not act by this.
    context.clear_cookies(name=f"photonstream-{urlsplit(acting).port}")
    assert pages["acting"].reload().status == 403
    assert pages["read-only"].reload().status == 200
    context.close()


def test_where_no_token_is_needed_none_is_kept(going_run, serve_page):
    url, _ = serve_page(going_run.address)
    for odd in ("%ff%0a", "x&token=%00", "x"):
        answer, _ = ask(url, f"/?token={odd}")
        assert answer.status == 200
        assert "photonstream-" not in (answer.headers["Set-Cookie"] or "")
    assert ask(url, "//elsewhere.example/?token=x")[0].status == 404


def open_websocket(url, path, *, to_the_end=False, **headers):
    """The status that a browser gets who asks for a websocket; ``to_the_end``: until the server has closed it."""
    place = urlsplit(url)
    given = {
        "Host": place.netloc,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 22 + "==",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        answer = connection.recv(4096).decode("latin-1")
        while to_the_end and connection.recv(4096):
            pass
    return int(answer.split()[1])


def test_a_name_that_somebody_else_has_lead_here_gets_nothing(going_run, serve_page):
    url, _ = serve_page(going_run.address, origins=["lab.example:8080"])
    port = urlsplit(url).port
    names = {
        **dict.fromkeys((f"evil.example:{port}", "evil.example", "127.0.0.1.evil.example", ""), 403),
        **dict.fromkeys((f"localhost:{port}", "LOCALHOST:99", f"127.0.0.1:{port}", f"[::1]:{port}"), 101),
        "lab.example:8080": 101,
    }
    for name, status in names.items():
        given = {"Host": name, "Origin": f"http://{name}", "Sec_WebSocket_Protocol": "bokeh"}
        assert open_websocket(url, "/ws", **given) == status, name


@pytest.mark.parametrize(
    "protocol", ["bokeh", "bokeh, garbage", "bokeh, {}", "bokeh, e30", "other, x", "\xff, \xfe"]
)
def test_garbage_in_the_header_of_a_websocket_is_a_line_in_the_log(going_run, serve_page, caplog, protocol):
    url, _ = serve_page(going_run.address)
    assert open_websocket(url, "/ws", to_the_end=True, Sec_WebSocket_Protocol=protocol) in (101, 500)
    [record] = [each for each in caplog.records if each.name == "tornado.application"]
    assert record.getMessage().startswith("a websocket of 127.0.0.1 was refused: ")
    assert "\n" not in record.getMessage()
    assert record.exc_info is None


def test_where_it_listens_everywhere_the_links_name_the_machine(going_run, serve_page):
    links = []
    acting, _ = serve_page(going_run.address, host="0.0.0.0", links=links)
    place = urlsplit(acting)
    assert place.hostname not in ("0.0.0.0", "")
    assert {urlsplit(link).netloc for link in links} == {place.netloc}
    # A browser that followed it may speak to the page.
    cookie = ask(f"http://{place.netloc}/", f"{place.path}?{place.query}")[0].headers["Set-Cookie"]
    given = {"Cookie": cookie.partition(";")[0], "Sec_WebSocket_Protocol": "bokeh"}
    assert open_websocket(acting, "/ws", Origin=f"http://{place.netloc}", **given) == 101
    assert open_websocket(acting, "/ws", Origin=f"http://elsewhere.example:{place.port}", **given) == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_any_address_is_told_as_those_that_others_reach(host):
    found = reachable_hosts(host)
    assert found
    assert host not in found
    assert reachable_hosts("192.168.0.7") == ["192.168.0.7"]
    assert reachable_hosts("lab.example") == ["lab.example"]
    assert in_url("::1") == "[::1]"
    assert in_url("lab.example") == "lab.example"
