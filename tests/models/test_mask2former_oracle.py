"""Mask2Former with formula weights against what the original implementation put out for them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.errors import CheckpointError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.models.queries.build import mask2former
from delineate.models.queries.criterion import Points
from delineate.models.queries.decoder import Prediction
from delineate.models.queries.mask2former import Mask2Former, targets_of
from delineate.models.queries.original_weights import our_name

LAYERS = [*(f"aux{i}" for i in range(9)), "last"]


class Oracle(NamedTuple):
    folder: Path
    weights: dict[str, torch.Tensor]
    model: Mask2Former
    image: NDArray[np.uint8]
    wanted: Any  # arrays by name


@pytest.fixture(scope="module")
def oracle(data_dir: Path) -> Oracle:
    root = data_dir.parent / "oracles"
    folder = root / "mask2former"
    if not folder.is_dir():
        pytest.skip(f"no outputs of the original at {folder}; they lie beside the data")
    spec = importlib.util.spec_from_file_location("formula", root / "formula.py")
    formula = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(formula)
    table = formula.load_spec(str(folder / "weights.json"))
    formula.check(table)
    weights = {name: torch.from_numpy(value) for name, value in formula.make_weights(table).items()}
    model = mask2former()
    assert model.load_published(weights)
    image = np.asarray(Image.open(folder / "input.png"))
    with np.load(folder / "outputs.npz") as arrays:
        wanted = {name: arrays[name] for name in arrays.files}
    return Oracle(folder, weights, model.eval(), image, wanted)


@pytest.fixture(scope="module")
def batch(oracle: Oracle) -> Batch:
    return collate([oracle.image], InputSpec(shortest_edge=None, longest_edge=None))


@pytest.fixture(scope="module")
def predictions(oracle: Oracle, batch: Batch) -> list[Prediction]:
    with torch.inference_mode():
        return oracle.model.predictions(batch.images)


def test_every_layers_logits_and_masks(oracle: Oracle, predictions: list[Prediction]) -> None:
    for name, prediction in zip(LAYERS, predictions, strict=True):
        masks = prediction.masks()[0].numpy()
        masks = masks[::4] if name == "last" else masks[::10, ::2, ::2]  # what is stored, as float16
        np.testing.assert_allclose(prediction.classes[0], oracle.wanted[f"logits.{name}"], atol=2e-4)
        np.testing.assert_allclose(masks, oracle.wanted[f"masks.{name}"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("frame", ["same", "larger"])
def test_instances(oracle: Oracle, batch: Batch, predictions: list[Prediction], frame: str) -> None:
    wanted = json.loads((oracle.folder / "instances.json").read_text())[frame]
    size = (wanted["height"], wanted["width"])
    framed = Batch(batch.images, batch.sizes, [size])
    found = oracle.model.instances(predictions[-1], framed)[0]
    order = np.argsort(-np.array(wanted["scores"]), kind="stable")
    np.testing.assert_allclose(found.scores, np.array(wanted["scores"])[order], atol=1e-4)
    assert found.labels.tolist() == np.array(wanted["classes"])[order].tolist()
    np.testing.assert_allclose(found.area, np.array(wanted["areas"])[order], atol=3)  # logits near 0
    rank = np.argsort(order)  # where the original's i-th object stands
    stored = Masks.from_rle(wanted["masks"])
    same = found.masks[rank[: len(stored)]].iou(stored).diagonal()
    assert len(stored) > 0
    assert same.min() > 0.9999


@pytest.mark.parametrize("case", ["single", "pair"])
def test_losses_and_gradients(oracle: Oracle, case: str) -> None:
    wanted = json.loads((oracle.folder / "losses.json").read_text())[case]

    class Stored(Points):
        """The points that the original drew."""

        def to_match(self, device: torch.device, layer: int, image: int) -> torch.Tensor:
            return torch.from_numpy(oracle.wanted[f"{case}.match_points.{LAYERS[layer]}.image{image}"])

        def to_lose(self, logits: torch.Tensor, layer: int) -> torch.Tensor:
            points = torch.from_numpy(oracle.wanted[f"{case}.loss_points.{LAYERS[layer]}"])
            return points if points.ndim == 3 else points.expand(len(logits), -1, -1)

    batch = _crops(oracle, wanted)
    size = (wanted["padded_height"], wanted["padded_width"])
    criterion = oracle.model.criterion
    drawn, criterion.points = criterion.points, Stored()
    try:
        found = oracle.model.predictions(batch.images)
        losses = criterion(found, targets_of(batch), size)
    finally:
        criterion.points = drawn
    for layer, values in zip(LAYERS, losses, strict=True):
        suffix = "" if layer == "last" else f"_{layer[3:]}"
        for ours, theirs in (("class", "loss_ce"), ("mask", "loss_mask"), ("dice", "loss_dice")):
            assert values[ours].item() == pytest.approx(wanted["loss"][theirs + suffix], rel=1e-4)
    total = sum(criterion.weighted(losses).values())
    assert total.item() == pytest.approx(wanted["weighted_total"], rel=1e-4)
    oracle.model.zero_grad()
    total.backward()
    parameters = dict(oracle.model.named_parameters())
    for name, norm in wanted["grad_norm"].items():
        gradient = parameters[our_name(name, (32, 16, 8))].grad
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-2), name
    oracle.model.zero_grad()


def _crops(oracle: Oracle, wanted: dict[str, Any]) -> Batch:
    """The case's crops of the image, padded, with its targets."""
    spec = InputSpec(shortest_edge=None, longest_edge=None)
    whole = collate([oracle.image], spec).images[0]
    images = torch.zeros(len(wanted["images"]), 3, wanted["padded_height"], wanted["padded_width"])
    sizes, targets = [], []
    for slot, crop, truth in zip(images, wanted["images"], wanted["targets"], strict=True):
        top, left, height, width = (crop[key] for key in ("top", "left", "height", "width"))
        slot[:, :height, :width] = whole[:, top : top + height, left : left + width]
        sizes.append((height, width))
        targets.append(
            Instances(
                (height, width),
                boxes=np.array(truth["boxes_xyxy"], np.float32),
                labels=np.array(truth["labels"]),
                masks=Masks.from_rle(truth["masks"]),
                classes=oracle.model.classes,
            )
        )
    return Batch(images, sizes, sizes, targets)


def test_released_pickles_call_the_content_static_query(oracle: Oracle) -> None:
    old = {name.replace("query_feat", "static_query"): value for name, value in oracle.weights.items()}
    model = mask2former()
    assert model.load_published(old)
    assert torch.equal(model.decoder.content.weight, oracle.model.decoder.content.weight)


def test_another_variant_is_refused_by_name(oracle: Oracle) -> None:
    with pytest.raises(CheckpointError, match=r"other shape: decoder\.content\.weight"):
        mask2former(queries=50, encoder_layers=6).load_published(oracle.weights)
    with pytest.raises(CheckpointError, match=r"unknown: .*encoder\.layers\.2"):
        mask2former(encoder_layers=2).load_published(oracle.weights)
