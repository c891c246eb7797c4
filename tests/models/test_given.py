"""Classes and input as every builder takes them."""

from __future__ import annotations

from typing import Any

import pytest
import timm

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.models.coco import COCO
from delineate.models.given import classes_of, input_of
from delineate.models.zoo import build

VIT = "test_vit"
HALF = (0.5, 0.5, 0.5)
ONE = Labels(("cell",))
QUERIES = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "channels": 64,
    "encoder_hidden": 64,
    "decoder_hidden": 64,
}


def test_classes() -> None:
    assert classes_of(None) is COCO
    assert classes_of(ONE) is ONE
    assert classes_of(ONE.to_dict()) == ONE


def test_input() -> None:
    default, small = InputSpec(stretch=550), InputSpec(shortest_edge=64)
    assert input_of(None, default) is default
    assert input_of(small, default) is small
    assert input_of({"shortest_edge": 64}, default) == small
    assert input_of(None, default, VIT) == InputSpec(stretch=550, mean=HALF, std=HALF)
    assert input_of({"shortest_edge": 64, "std": (1, 1, 1)}, default, VIT) == InputSpec(
        shortest_edge=64, mean=HALF, std=(1, 1, 1)
    )
    assert input_of(small, default, VIT) is small


@pytest.mark.parametrize("given", ["800", 800, [800]])
def test_what_is_no_table_is_told(given: Any) -> None:
    with pytest.raises(InputError, match="input: expected a table"):
        input_of(given, InputSpec())
    with pytest.raises(InputError, match="classes: expected a table"):
        classes_of(given)


@pytest.mark.parametrize(
    ("family", "asked", "settings"),
    [
        ("mask_rcnn", "pretrained_backbone", {"channels": 16, "box_width": 16, "mask_width": 16}),
        ("faster_rcnn", "pretrained_backbone", {"channels": 16, "box_width": 16}),
        ("semantic_fpn", "pretrained_backbone", {"channels": 32, "width": 32}),
        ("yolact", "pretrained_backbone", {"channels": 16, "prototypes": 8}),
        ("mask2former", "pretrained", QUERIES),
        ("maskdino", "pretrained", QUERIES),
    ],
)
def test_weights_come_with_their_normalisation(
    family: str, asked: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = timm.create_model
    fetched = []

    def without_network(name: str, pretrained: bool = False, **options: Any) -> Any:
        fetched.append(pretrained)
        return make(name, pretrained=False, **options)

    monkeypatch.delenv("DELINEATE_OFFLINE", raising=False)
    monkeypatch.setattr(timm, "create_model", without_network)
    small: dict[str, Any] = {**settings, "backbone": VIT, "classes": ONE, asked: True}
    model = build(family, **small)
    assert any(fetched)
    assert model.input.mean == model.input.std == HALF
    again = build(family, **{**model.settings, "classes": ONE, "input": model.input})
    assert again.input == model.input
    assert build(family, **{**small, asked: False}).input.mean != HALF
