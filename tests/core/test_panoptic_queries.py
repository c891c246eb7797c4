from __future__ import annotations

import numpy as np

from delineate.core.labels import Labels
from delineate.core.panoptic_queries import segments_of_winners

CLASSES = Labels(("cat", "sky"), things=(True, False))


def test_things_stay_apart_and_stuff_of_a_class_is_one() -> None:
    winner = np.array([[1, 2, 3], [4, 5, 0]])
    able = np.array([True, True, True, True, False])
    found = segments_of_winners(
        winner, able, np.array([0, 1, 0, 1, 0]), np.array([0.9, 0.8, 1.5, 0.7, 1.0]), CLASSES
    )
    assert found.map.tolist() == [[1, 2, 3], [2, 0, 0]]
    assert found.labels.tolist() == [0, 1, 0]
    assert np.allclose(found.scores, [0.9, 0.8, 1])


def test_nothing_won() -> None:
    nobody = np.zeros(0)
    found = segments_of_winners(
        np.zeros((2, 3), int), nobody.astype(bool), nobody.astype(int), nobody, CLASSES
    )
    assert len(found.labels) == 0 and not found.map.any()
