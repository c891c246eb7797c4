"""Who died of what: an image that kills its worker is found by asking what the worker had in hand."""

from __future__ import annotations

from typing import Any

DEATHS = 2
"""So many workers must have died with the same row in hand before it is given up."""


class Watch:
    """What the workers have in hand; lives in a small process of its own that no image can kill.

    A chunk is done at full speed the first time. When its worker dies, the next one tells before each row
    that it takes it in hand. A row in whose hands :data:`DEATHS` workers died is given up, and the rest of
    its chunk goes on; a worker that died by chance costs nothing but the chunk done anew.
    """

    def __init__(self) -> None:
        self._tries: dict[int, int] = {}
        self._hand: dict[int, int] = {}
        self._deaths: dict[int, int] = {}
        self._slow: dict[int, float] = {}

    def begin(self, chunk: int) -> tuple[int, dict[int, str]]:
        """A worker begins a chunk.

        Returns:
            which try it is, from 1, and the reason by number of the rows that are to be left out.
        """
        self._tries[chunk] = self._tries.get(chunk, 0) + 1
        row = self._hand.pop(chunk, None)
        if row is not None:
            self._deaths[row] = self._deaths.get(row, 0) + 1
        given_up = {row: self._reason(row) for row, n in self._deaths.items() if n >= DEATHS}
        return self._tries[chunk], given_up | {row: self._reason(row) for row in self._slow}

    def hand(self, chunk: int, row: int) -> None:
        """A worker takes a row in hand."""
        self._hand[chunk] = row

    def slow(self, row: int, seconds: float) -> None:
        """A row took longer than it may; its worker ends itself."""
        self._slow[row] = seconds

    def end(self, chunk: int) -> None:
        """A chunk is done."""
        self._hand.pop(chunk, None)

    def _reason(self, row: int) -> str:
        if row in self._slow:
            return f"it was not done within {self._slow[row]:g} seconds; look at it by itself"
        return (
            f"its worker died {self._deaths[row]} times with it in hand (a crash, or not enough memory); "
            "look at it by itself"
        )

    def told(self) -> dict[str, Any]:
        """How many chunks were begun more than once, for the run's summary."""
        return {"begun_again": sum(n - 1 for n in self._tries.values())}
