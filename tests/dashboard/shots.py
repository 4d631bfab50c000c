"""Pictures of a report, for whoever changes the page: what a browser shows, and what a printer would get.

    python tests/dashboard/shots.py FOLDER OUT.png     report of a result folder as a picture of the whole page
    python tests/dashboard/shots.py FOLDER OUT.pdf     the same as it prints on A4

FOLDER is that of a finished run; its report.html is written anew first.
"""

import argparse
from pathlib import Path

from playwright.sync_api import sync_playwright

from photonstream.dashboard.report import write_report

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def shoot(page_file: Path, picture: Path) -> None:
    """Open ``page_file`` at 1280 pixels and save what it looks like as .png, or as .pdf what it prints like."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
        page.goto(page_file.resolve().as_uri())
        page.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
        if picture.suffix == ".pdf":
            page.pdf(path=picture, prefer_css_page_size=True)
        else:
            page.screenshot(path=picture, full_page=True)
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    shoot(write_report(arguments.folder), arguments.picture)
