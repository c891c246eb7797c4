from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks


def some() -> Instances:
    masks = Masks.from_label_image(np.array([[1, 1, 0, 2], [1, 0, 3, 2], [0, 0, 3, 2]]))
    return Instances((3, 4), masks=masks, labels=[0, 1, 1], scores=[0.5, 1, 0.25], classes=Labels(("a", "b")))


def test_round_trip() -> None:
    target = some().to_torchvision()
    assert target["labels"].tolist() == [1, 2, 2] and target["masks"].dtype == torch.uint8
    back = Instances.from_torchvision(target, classes=some().classes)
    for name in ("boxes", "labels", "scores"):
        np.testing.assert_array_equal(getattr(back, name), getattr(some(), name))
    assert back.masks == some().masks and back.size == (3, 4)


def test_soft_masks_are_cut_above_a_half() -> None:
    soft = torch.tensor([[[[0.5, 0.51], [0.0, 1.0]]]])
    result = {"boxes": torch.tensor([[0.0, 0, 2, 2]]), "labels": torch.tensor([1]), "masks": soft}
    masks = Instances.from_torchvision(result).masks
    assert masks is not None and masks.dense()[0].tolist() == [[False, True], [False, True]]


def test_boxes_only_and_nothing() -> None:
    boxes = {"boxes": torch.zeros((0, 4)), "labels": torch.zeros(0, dtype=torch.int64)}
    assert len(Instances.from_torchvision(boxes, size=(3, 4))) == 0
    none = Instances.from_torchvision({**boxes, "masks": torch.zeros((0, 1, 3, 4))})
    assert none.masks == Masks.empty((3, 4))
    assert Instances.empty((3, 4)).to_torchvision()["masks"].shape == (0, 3, 4)


@pytest.mark.parametrize(
    "target",
    [
        {"labels": torch.tensor([1])},
        {"boxes": torch.zeros((1, 4)), "labels": torch.tensor([0])},
        {"boxes": torch.zeros((1, 4)), "labels": torch.tensor([1])},
    ],
)
def test_malformed(target: Any) -> None:
    with pytest.raises(InputError, match=r"from_torchvision: expected .*got "):
        Instances.from_torchvision(target)
