"""A process of the cluster that hands out for a driver elsewhere: answers once each, whatever ends it."""

import pytest

from delineate.engine.cluster import host
from delineate.engine.cluster.chunks import Chunk
from delineate.engine.cluster.host import HOSTS, Host, hand_out_from_afar
from delineate.engine.cluster.pool import Pool

CHUNKS = [Chunk(number, ({"row": number},)) for number in range(6)]
POOL = Pool(workers=1, gpus=0, limit=1)


class DiedError(Exception):
    pass


class Reached:
    """As much of Ray as the driver calls: actors are objects of this process, and some die."""

    def __init__(self, deaths):
        self.deaths, self.begun, self.killed = deaths, 0, 0
        self.exceptions = type("exceptions", (), {"ActorDiedError": DiedError})

    def remote(self, **_):
        return lambda cls: type("Actor", (), {"remote": lambda *given: self._begin(cls(*given))})

    def _begin(self, actor):
        self.begun += 1
        take = type("Take", (), {"remote": actor.take})
        return type("Handle", (), {"take": take})

    def get(self, answer):
        if self.deaths:
            self.deaths -= 1
            raise DiedError("killed")
        return answer

    def kill(self, actor):
        self.killed += 1


def test_answers_come_in_bunches_and_the_last_is_told(monkeypatch):
    monkeypatch.setattr(host, "hand_out", lambda work, chunks, pool: ((c.number, b"x") for c in chunks))
    one = Host(None, CHUNKS, POOL)
    taken, last = [], False
    while not last:
        some, last = one.take()
        taken += some
    assert [number for number, _ in taken] == [c.number for c in CHUNKS]


def test_what_came_before_an_error_is_kept(monkeypatch):
    def broken(work, chunks, pool):
        yield chunks[0].number, b"x"
        raise DiedError("no model")

    monkeypatch.setattr(host, "hand_out", broken)
    one = Host(None, CHUNKS, POOL)
    assert one.take() == ([(0, b"x")], False)
    with pytest.raises(DiedError, match="no model"):
        one.take()


@pytest.mark.parametrize("deaths", [0, 1, HOSTS - 1, HOSTS])
def test_another_process_does_what_is_left_where_one_dies(deaths, monkeypatch):
    asked = []

    def some(work, chunks, pool):
        asked.append([c.number for c in chunks])
        yield from ((c.number, b"x") for c in chunks)

    monkeypatch.setattr(host, "hand_out", some)
    ray = Reached(deaths)
    answers = hand_out_from_afar(ray, None, CHUNKS, POOL)
    if deaths == HOSTS:
        with pytest.raises(DiedError):
            list(answers)
    else:
        assert sorted(number for number, _ in answers) == [c.number for c in CHUNKS]
    assert ray.begun == ray.killed == min(deaths + 1, HOSTS)


def test_a_driver_that_ends_early_ends_its_process_of_the_cluster(monkeypatch):
    monkeypatch.setattr(host, "hand_out", lambda work, chunks, pool: ((c.number, b"x") for c in chunks))
    ray = Reached(0)
    answers = hand_out_from_afar(ray, None, CHUNKS, POOL)
    next(answers)
    answers.close()
    assert ray.killed == 1
