from __future__ import annotations

import json

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.metrics.counting import CountingError


def some(count: int) -> Instances:
    return Instances((8, 8), boxes=np.tile([0.0, 0, 2, 2], (count, 1)))


def test_table() -> None:
    metric = CountingError()
    for pred, true in [(3, 3), (5, 2), (0, 1), (0, 0)]:
        metric.update(some(pred), some(true))
    report = metric.compute()
    assert (report.images, report.true, report.predicted) == (4, 6, 8)
    assert (report.bias, report.mean_absolute_error, report.exact) == (0.5, 1.0, 0.5)
    assert report.root_mean_square_error == pytest.approx(np.sqrt(10 / 4))
    assert report.worst == ((2, 3), (3, -1))
    json.dumps(report.to_dict())


def test_no_images_and_crowds() -> None:
    metric = CountingError()
    assert metric.compute().bias == 0.0
    metric.update(some(1), some(2).replace(crowd=[False, True]))
    assert metric.compute().exact == 1.0


def test_merge() -> None:
    a, b = CountingError(), CountingError()
    a.update(some(1), some(2), 1)
    b.update(some(1), some(1), 2)
    a.merge(b)
    assert a.compute().images == 2
    with pytest.raises(InputError, match="image 2 in both"):
        a.merge(b)
    with pytest.raises(InputError, match="image 2 twice"):
        b.update(some(1), some(1), 2)
