"""Which of the open pages acts: one at a time; the others watch, unless they take over."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

# "acting"; "watching", and may take over; "read-only", and may not.
Role = Literal["acting", "watching", "read-only"]


class Desk:
    """One place to act from. Who comes first has it, and when that one goes, who has been there longest."""

    def __init__(self) -> None:
        self._present: dict[Hashable, bool] = {}
        self._acting: Hashable | None = None

    def enter(self, page: Hashable, *, may_act: bool) -> None:
        """A page is opened."""
        self._present[page] = may_act
        if may_act and self._acting is None:
            self._acting = page

    def leave(self, page: Hashable) -> None:
        """A page is gone."""
        self._present.pop(page, None)
        if page == self._acting:
            self._acting = next((each for each, may_act in self._present.items() if may_act), None)

    def take_over(self, page: Hashable) -> bool:
        """A page wants to act from now on; gives whether it may."""
        if not self._present.get(page, False):
            return False
        self._acting = page
        return True

    def role(self, page: Hashable) -> Role:
        """What a page may do at present."""
        if page == self._acting:
            return "acting"
        return "watching" if self._present.get(page, False) else "read-only"
