"""Pictures of a page, for whoever changes it: what a browser shows, and what a printer would get.

    python -m tests.dashboard.shots FOLDER OUT.png     report of a result folder as a picture of the whole page
    python -m tests.dashboard.shots FOLDER OUT.pdf     the same as it prints on A4
    python -m tests.dashboard.shots URL OUT.png        the live page at that address, as it is now
    python -m tests.dashboard.shots URL OUT.png --until Complete --size 1920x1080 --dark

FOLDER is that of a finished run; its report.html is written anew first. The picture of a live page is taken once its
state has the words of --until in it.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from photonstream.dashboard.report import write_report
from tests.browser import ARGUMENTS, CHROMIUM

DRAWN = "window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
LONGEST_WAIT_MS = 600_000
# Pixels of a picture for one of the page.
SCALE = 1.5


def shoot(
    page_url: str,
    picture: Path,
    size: tuple[int, int],
    until: str,
    *,
    dark: bool = False,
    whole: bool = True,
    act: Callable[[Page], object] | None = None,
) -> None:
    """Open ``page_url`` in a window of ``size`` pixels and save it as .png, or as .pdf what it prints like.

    ``act`` does something at the page before; without ``whole`` only what the window shows is in the picture.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        width, height = size
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=SCALE)
        if dark:
            page.add_init_script("localStorage.setItem('photonstream-night', '1')")
        page.goto(page_url)
        page.wait_for_function(DRAWN)
        if page_url.startswith("http"):
            wait_for_state(page, until)
        if act is not None:
            act(page)
        if picture.suffix == ".pdf":
            page.pdf(path=picture, prefer_css_page_size=True)
        else:
            page.screenshot(path=picture, full_page=whole)
        browser.close()


def wait_for_state(page: Page, until: str) -> None:
    """Until the live page has drawn results of a run whose state has these words."""
    page.wait_for_function(
        "words => document.querySelector('#title').title && document.querySelector('#state').innerText.includes(words)",
        arg=until,
        timeout=LONGEST_WAIT_MS,
    )
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pixels(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", metavar="FOLDER|URL")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--size", type=pixels, default=(1280, 900), metavar="WxH")
    parser.add_argument("--until", default="", metavar="WORDS")
    parser.add_argument("--dark", action="store_true", help="the live page as it is at night")
    arguments = parser.parse_args()
    source = arguments.source
    url = source if source.startswith("http") else write_report(Path(source)).resolve().as_uri()
    shoot(url, arguments.picture, arguments.size, arguments.until, dark=arguments.dark)
