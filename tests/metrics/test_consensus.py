"""One annotation out of several."""

from __future__ import annotations

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.metrics.consensus import consensus

CLASSES = Labels(("ripe", "green"))


def _discs(*discs: tuple[float, float, float, int], crowd: bool = False) -> Instances:
    """Discs of x, y, radius, class on 60 x 80 pixels."""
    y, x = np.mgrid[:60, :80] + 0.5
    dense = [np.hypot(x - at[0], y - at[1]) < at[2] for at in discs]
    masks = Masks.from_dense(np.array(dense)) if dense else Masks.empty((60, 80))
    labels = np.array([at[3] for at in discs], np.int64)
    return Instances((60, 80), labels=labels, masks=masks, classes=CLASSES, crowd=np.full(len(discs), crowd))


@pytest.mark.parametrize("method", ["staple", "vote"])
def test_the_mean_of_shifted_discs(method: str) -> None:
    people = [_discs((30 + dx, 30 + dy, 12, 0)) for dx, dy in ((-2, 0), (2, 0), (0, 2), (0, -2), (0, 0))]
    found = consensus(people, method)  # type: ignore[arg-type]
    truth = _discs((30, 30, 12, 0))
    assert found.instances.masks is not None and truth.masks is not None
    assert found.instances.masks.iou(truth.masks)[0, 0] > 0.97
    assert found.drawn.all() and found.instances.scores.tolist() == [1]


def test_a_vote_of_two_puts_the_outline_halfway() -> None:
    found = consensus([_discs((30, 30, 8, 0)), _discs((30, 30, 14, 0))], "vote", threshold=0.3)
    truth = _discs((30, 30, 11, 0))
    assert found.instances.masks is not None and truth.masks is not None
    assert found.instances.masks.iou(truth.masks)[0, 0] > 0.95


@pytest.mark.parametrize("method", ["staple", "vote"])
def test_what_is_the_same_stays_pixel_by_pixel(method: str) -> None:
    same = _discs((20, 20, 9, 1), (50, 40, 15, 0))
    found = consensus([same, same, same], method).instances  # type: ignore[arg-type]
    assert found.masks == same.masks and found.labels.tolist() == [1, 0]


def test_what_few_drew_is_dropped_and_the_class_is_voted() -> None:
    people = [
        _discs((20, 20, 9, 1), (60, 20, 5, 0)),
        _discs((20, 20, 9, 1)),
        _discs((20, 20, 9, 0), (60, 50, 5, 0)),
    ]
    found = consensus(people)
    assert len(found.instances) == 1 and found.instances.names == ["green"]
    assert (found.dropped, found.ties) == (2, 0)
    every = consensus(people, least=1)
    assert every.dropped == 0 and every.instances.scores.tolist() == pytest.approx([1, 1 / 3, 1 / 3])
    assert consensus(people[1:]).ties == 1


def test_the_careless_annotator_is_told() -> None:
    people = [_discs((40, 30, 15, 0)), _discs((40, 30, 15, 0)), _discs((40, 30, 11, 0))]
    found = consensus(people, "staple")
    assert found.sensitivity[0].round(2).tolist() == [1, 1, 0.54]
    assert found.specificity[0].round(2).tolist() == [1, 1, 1]


def test_crowd_regions_of_most_stay() -> None:
    crowd = _discs((20, 20, 9, 1), crowd=True)
    found = consensus([crowd, crowd, _discs()]).instances
    assert found.crowd.tolist() == [True] and found.masks == crowd.masks and found.names == ["green"]
    assert len(consensus([crowd, _discs(), _discs()]).instances) == 0


def test_nothing_drawn() -> None:
    found = consensus([_discs(), _discs()])
    assert len(found.instances) == 0 and found.drawn.shape == (0, 2)


def test_refuses() -> None:
    with pytest.raises(InputError, match="staple or vote"):
        consensus([_discs()], "mean")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected annotations"):
        consensus([])
    with pytest.raises(InputError, match="map the labels"):
        consensus([_discs(), Instances((60, 80), masks=Masks.empty((60, 80)))])
