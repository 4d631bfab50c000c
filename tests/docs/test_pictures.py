"""Every picture of the docs is shown, has words for who does not see it, and is one that a command makes anew."""

import re

import pytest
from PIL import Image

from tests.docs.pictures import DRAWN_BY_HAND, MADE, PICTURES
from tests.docs.shown import PAGES

SHOWN = [
    (page.parent / place, words)
    for page in PAGES
    for words, place in re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text(encoding="utf-8"), re.DOTALL)
]


def test_what_is_shown_is_made_and_what_is_made_is_shown():
    assert {place.resolve() for place, _ in SHOWN} == {PICTURES / name for name in (*MADE, *DRAWN_BY_HAND)}
    assert {path.name for path in PICTURES.iterdir()} == {*MADE, *DRAWN_BY_HAND}


def test_every_picture_has_words():
    assert [place.name for place, words in SHOWN if len(words) < 20] == []


@pytest.mark.parametrize("name", MADE)
def test_a_picture_is_as_the_command_makes_it(name):
    with Image.open(PICTURES / name) as picture:
        assert (picture.format, picture.mode, picture.width) == ("PNG", "P", MADE[name].width)
