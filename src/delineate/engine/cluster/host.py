"""Handing out from afar: over `ray://` Ray Data cannot run, so a process of the cluster hands out for us."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from .chunks import Chunk, Work
from .pool import Answer, Pool, hand_out

HOSTS = 3
"""So many such processes are tried in a run; what was answered is not done again."""


class Host:
    """Hands out in a process of the cluster; it ends with the connection of the one who began it.

    Args:
        work: what is done.
        chunks: with what.
        pool: by whom.
    """

    def __init__(self, work: Work, chunks: Sequence[Chunk], pool: Pool) -> None:
        self._answers: queue.SimpleQueue[Answer | BaseException | None] = queue.SimpleQueue()
        threading.Thread(target=self._fill, args=(work, chunks, pool), daemon=True).start()

    def take(self) -> tuple[list[Answer], bool]:
        """Waits for an answer; all that are there, and whether they were the last.

        Raises:
            Exception: what ended the handing out.
        """
        one = self._answers.get()
        taken: list[Answer] = []
        while isinstance(one, tuple):
            taken.append(one)
            try:
                one = self._answers.get_nowait()
            except queue.Empty:
                return taken, False
        if one is None:
            return taken, True
        if taken:
            self._answers.put(one)  # for the next call
            return taken, False
        raise one

    def _fill(self, work: Work, chunks: Sequence[Chunk], pool: Pool) -> None:
        try:
            for answer in hand_out(work, chunks, pool):
                self._answers.put(answer)
        except BaseException as error:
            self._answers.put(error)
        else:
            self._answers.put(None)


def hand_out_from_afar(ray: Any, work: Work, chunks: Sequence[Chunk], pool: Pool) -> Iterator[Answer]:
    """As :func:`.pool.hand_out`, for a process that is not of the cluster; one more host where one dies.

    Args:
        ray: connected by Ray's client.
        work: what is done.
        chunks: with what.
        pool: by whom.
    """
    left = {chunk.number: chunk for chunk in chunks}
    for attempt in range(HOSTS):
        host = ray.remote(num_cpus=0)(Host).remote(work, list(left.values()), pool)
        try:
            while True:
                taken, last = ray.get(host.take.remote())
                for number, told in taken:
                    left.pop(number, None)
                    yield number, told
                if last:
                    return
        except ray.exceptions.ActorDiedError:
            if attempt + 1 == HOSTS:
                raise
        finally:
            ray.kill(host)
