"""A model and its export, scored side by side."""

from __future__ import annotations

import pytest

from delineate.core.errors import InputError
from delineate.engine.export_check import Scores


def test_loss_is_of_masks_where_there_are_any() -> None:
    scores = Scores(3, {"mask/AP": 0.5, "box/AP": 0.6}, {"mask/AP": 0.48, "box/AP": 0.1})
    assert scores.lost == pytest.approx(0.02)
    assert scores.rows() == [("mask/AP", 0.5, 0.48), ("box/AP", 0.6, 0.1)]
    scores.check("a", 0.021)
    with pytest.raises(InputError, match=r"0\.0200 on 3 images"):
        scores.check("a", 0.01)


def test_boxes_alone_count_and_gains_are_no_loss() -> None:
    assert Scores(1, {"box/AP": 0.5}, {"box/AP": 0.6}).lost == pytest.approx(-0.1)
    with pytest.raises(InputError, match="got none"):
        _ = Scores(1, {}, {}).lost
