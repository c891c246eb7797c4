"""delineate.measure: what it takes, and how objects are numbered."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import regionprops_table

import delineate
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

LABELS = np.zeros((30, 40), np.uint16)
LABELS[2:9, 3:12], LABELS[9:20, 3:9], LABELS[15:25, 20:33] = 900, 12, 7


def test_labels_keep_their_numbers() -> None:
    frame = delineate.measure(LABELS, neighbours=True)
    assert frame["label"].tolist() == [7, 12, 900]
    assert frame["nearest_label"].tolist() == [12, 900, 12]
    assert frame["touching"].tolist() == [0, 1, 1]
    peer = regionprops_table(LABELS, properties=("label", "area", "perimeter"))
    for name, column in peer.items():
        assert np.allclose(frame[name], column)


def test_instances_are_numbered_from_one() -> None:
    found = Instances(LABELS.shape, masks=Masks.from_label_image(LABELS), ids=[5, 6, 7])
    frame = delineate.measure(found)
    assert frame[["label", "id"]].values.tolist() == [[1, 5], [2, 6], [3, 7]]


def test_a_stack_has_volumes() -> None:
    stack = np.repeat(LABELS[None], 4, axis=0)
    frame = delineate.measure(stack, pixel_size=(2, 0.5, 0.5))
    assert frame["label"].tolist() == [7, 12, 900]
    assert frame["volume_um3"].tolist() == [130 * 2.0, 66 * 2.0, 63 * 2.0]
    with pytest.raises(InputError, match="expected an image for texture, got none"):
        delineate.measure(stack, texture=True)


def test_units() -> None:
    frame = delineate.measure(LABELS, pixel_size=(0.5, 0.5), unit="mm")
    assert frame["area_mm2"].tolist() == (frame["area"] / 4).tolist()
    assert frame.attrs["units"]["area_mm2"] == "mm^2"


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (LABELS.astype(float), {}, "expected Instances, a label image"),
        (LABELS[0], {}, "expected Instances, a label image"),
        (LABELS, {"pixel_size": (1, 2)}, "pixels must be square"),
        (LABELS, {"pixel_size": -1}, "pixel_size: expected a positive number"),
        (LABELS, {"colour": True}, "expected groups among"),
        (LABELS, {"texture": True}, "expected an image for texture"),
        (LABELS, {"image": np.zeros((3, 3))}, "expected an image of 30 x 40"),
        (-LABELS.astype(int), {}, "labels >= 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: np.ndarray, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        delineate.measure(labels, **settings)


@pytest.mark.parametrize("shape", [(5, 6), (2, 3, 4)])
def test_nothing_there_is_an_empty_table(shape: tuple[int, ...]) -> None:
    frame = delineate.measure(np.zeros(shape, np.int32), np.zeros(shape))
    assert len(frame) == 0 and "intensity_mean" in frame
