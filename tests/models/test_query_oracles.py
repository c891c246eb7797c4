"""The query transformers with formula weights against what the originals put out for them."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.errors import CheckpointError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.models.queries import build
from delineate.models.queries.criterion import Points
from delineate.models.queries.decoder import Prediction
from delineate.models.queries.denoising import Noise, noisy_queries
from delineate.models.queries.mask2former import Mask2Former, targets_of
from delineate.models.queries.maskdino import MaskDINO
from delineate.models.queries.original_weights import our_name
from delineate.models.queries.segments import panoptic_of, semantic_of

FAMILIES = ("mask2former", "maskdino", "dimaskdino")
PARTS = {"class": "ce", "mask": "mask", "dice": "dice", "box": "bbox", "giou": "giou"}  # ours: theirs


@dataclass(frozen=True)
class Oracle:
    """One family: our model with its weights, the input, and the original's outputs."""

    family: str
    folder: Path
    weights: dict[str, torch.Tensor]
    model: Mask2Former
    batch: Batch
    wanted: dict[str, Any]  # arrays by name
    last: Prediction
    named: dict[str, Prediction]

    def losses(self, case: str) -> dict[str, Any]:
        return json.loads((self.folder / "losses.json").read_text())[case]


@pytest.fixture(scope="module", params=FAMILIES)
def oracle(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Oracle]:
    root = data_dir.parent / "oracles"
    folder = root / request.param
    if not folder.is_dir():
        pytest.skip(f"no outputs of the original at {folder}; they lie beside the data")
    spec = importlib.util.spec_from_file_location("formula", root / "formula.py")
    formula = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(formula)
    table = formula.load_spec(str(folder / "weights.json"))
    formula.check(table)
    weights = {name: torch.from_numpy(value) for name, value in formula.make_weights(table).items()}
    model = getattr(build, request.param)().eval()
    assert model.load_published(weights)
    image = np.asarray(Image.open(folder / "input.png"))
    batch = collate([image], InputSpec(shortest_edge=None, longest_edge=None))
    with np.load(folder / "outputs.npz") as arrays:
        wanted = {name: arrays[name] for name in arrays.files}
    with torch.inference_mode():
        if isinstance(model, MaskDINO):
            outcome = model.outcome(batch.images)
            layers, named = outcome.layers, {"interm": outcome.selected}
            extra = model.extra_predictions(outcome).items()
            named |= {name.replace("balance", "oldm"): prediction for name, prediction in extra}
        else:
            layers, named = model.predictions(batch.images), {}
    named |= model.criterion.named(layers)
    yield Oracle(request.param, folder, weights, model, batch, wanted, layers[-1], named)
    model.zero_grad()


def test_every_prediction(oracle: Oracle) -> None:
    assert {name for name in oracle.wanted if name.startswith("logits.")} == {
        f"logits.{name}" for name in oracle.named
    }
    for name, prediction in oracle.named.items():
        logits, wanted = prediction.classes[0].numpy(), oracle.wanted[f"logits.{name}"]
        np.testing.assert_allclose(logits[:: len(logits) // len(wanted)], wanted, atol=2e-4, err_msg=name)
        if prediction.boxes is not None:
            np.testing.assert_allclose(prediction.boxes[0], oracle.wanted[f"boxes.{name}"], atol=1e-5)
        if f"masks.{name}" in oracle.wanted:  # a selection, as float16
            step = {"mask2former": 4, "maskdino": 12, "dimaskdino": 12}[oracle.family]
            masks = prediction.masks()[0].numpy()
            masks = masks[::step] if name == "last" else masks[:: 10 if step == 4 else 30, ::2, ::2]
            np.testing.assert_allclose(masks, oracle.wanted[f"masks.{name}"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("frame", ["same", "larger"])
def test_instances(oracle: Oracle, frame: str) -> None:
    wanted = json.loads((oracle.folder / "instances.json").read_text())[frame]
    size = (wanted["height"], wanted["width"])
    found = oracle.model.instances(oracle.last, dataclasses.replace(oracle.batch, originals=[size]))[0]
    scores, areas = np.array(wanted["scores"]), np.array(wanted["areas"])
    order = np.argsort(-scores, kind="stable")
    order = order[areas[order] > 0]  # ours leave out empty masks
    np.testing.assert_allclose(found.scores, scores[order], atol=1e-4)
    assert found.labels.tolist() == np.array(wanted["classes"])[order].tolist()
    np.testing.assert_allclose(found.area, areas[order], atol=4)  # pixels whose logit is 0 but for rounding
    if wanted["boxes_xyxy"] is not None:
        limits = np.array([size[1], size[0]] * 2)  # the original does not clip
        boxes = np.clip(np.array(wanted["boxes_xyxy"])[order], 0, limits)
        np.testing.assert_allclose(found.boxes, boxes, atol=2e-3)
    place = {int(theirs): ours for ours, theirs in enumerate(order)}
    stored = Masks.from_rle(wanted["masks"])
    pairs = [(place[i], i) for i in range(len(stored)) if i in place]
    assert len(pairs) > 5
    overlap = found.masks[[ours for ours, _ in pairs]].iou(stored[[theirs for _, theirs in pairs]])
    assert overlap.diagonal().min() > 0.999


def test_losses_of_one_image_without_denoising(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    _replay(oracle, "single", monkeypatch)
    with torch.no_grad():
        _compare(oracle, "single", _named_losses(oracle, "single"))


def test_losses_and_gradients_of_a_padded_pair(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    _replay(oracle, "pair", monkeypatch)
    losses = _named_losses(oracle, "pair")
    _compare(oracle, "pair", losses)
    wanted = oracle.losses("pair")
    total = sum(oracle.model.criterion.weighted(list(losses.values())).values())
    assert total.item() == pytest.approx(wanted["weighted_total"], rel=1e-4)
    oracle.model.zero_grad()
    total.backward()
    parameters = dict(oracle.model.named_parameters())
    for name, norm in wanted["grad_norm"].items():
        for alias in ("oldm.bbox_embed.0.", "decoder.bbox_embed.0."):  # the first name of a shared network
            owner = "_oldm_bbox_embed." if alias.startswith("oldm") else "_bbox_embed."
            name = name.replace(f"predictor.{alias}", f"predictor.{owner}")
        gradient = parameters[our_name(name, oracle.model.pixel_decoder.order)].grad
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-2, abs=1e-4), name


def test_denoising_queries(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(oracle.model, MaskDINO):
        assert not any(name.startswith("dn.") for name in oracle.wanted)
        return
    _replay(oracle, "pair", monkeypatch)
    targets = targets_of(_crops(oracle, oracle.losses("pair")))
    start, groups = noisy_queries(targets, oracle.model.decoder.labels, oracle.model.noise)
    assert groups.groups == oracle.losses("pair")["denoising_groups"]
    np.testing.assert_allclose(start.boxes, oracle.wanted["dn.query_box_unsigmoid"], atol=1e-4)
    shape = oracle.wanted["dn.attn_mask_shape"]
    bits = np.unpackbits(oracle.wanted["dn.attn_mask_bits"])[: shape[0] * shape[1]].reshape(shape)
    count = start.content.shape[1]
    np.testing.assert_array_equal(start.blocked, bits[:count, :count].astype(bool))
    mean, std, largest = oracle.wanted["dn.query_label_embedding.stats"]
    content = start.content.detach()
    assert content.mean().item() == pytest.approx(mean, abs=1e-5)
    assert content.abs().max().item() == pytest.approx(largest, rel=1e-5)
    assert content.std(correction=0).item() == pytest.approx(std, rel=1e-3)


def test_another_variant_is_refused_by_name(oracle: Oracle) -> None:
    small = getattr(build, oracle.family)(queries=50, encoder_layers=2)
    with pytest.raises(CheckpointError, match=r"unknown: .*encoder\.layers\.2"):
        small.load_published(oracle.weights)
    if oracle.family == "mask2former":  # the released pickles' name for the queries' content
        old = {name.replace("query_feat", "static_query"): value for name, value in oracle.weights.items()}
        model = build.mask2former()
        assert model.load_published(old)
        assert torch.equal(model.decoder.content.weight, oracle.model.decoder.content.weight)


def _replay(oracle: Oracle, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The points and the noise that the original drew, in place of our own draws."""

    class Stored(Points):
        def to_match(self, device: torch.device, name: str, image: int) -> torch.Tensor:
            return torch.from_numpy(oracle.wanted[f"{case}.match_points.{name}.image{image}"])

        def to_lose(self, logits: torch.Tensor, name: str) -> torch.Tensor:
            points = torch.from_numpy(oracle.wanted[f"{case}.loss_points.{name}"])
            return points if points.ndim == 3 else points.expand(len(logits), -1, -1)

    class StoredNoise(Noise):
        def draw(self, count: int, classes: int, device: torch.device) -> tuple[torch.Tensor, ...]:
            luck = torch.from_numpy(oracle.wanted["dn.label_draw"])
            labels = torch.zeros(count, dtype=torch.int64)
            labels[luck < self.labels] = torch.from_numpy(oracle.wanted["dn.new_label"]).long()
            return luck, labels, torch.from_numpy(oracle.wanted["dn.box_draw"])

    monkeypatch.setattr(oracle.model.criterion, "points", Stored())
    if isinstance(oracle.model, MaskDINO):
        noise = StoredNoise() if oracle.losses(case)["denoising"] else Noise(queries=0)
        monkeypatch.setattr(oracle.model, "noise", noise)


def _named_losses(oracle: Oracle, case: str) -> dict[str, dict[str, torch.Tensor]]:
    batch = _crops(oracle, oracle.losses(case))
    if isinstance(oracle.model, MaskDINO):
        return oracle.model.named_losses(batch)
    size = (int(batch.images.shape[2]), int(batch.images.shape[3]))
    predictions = oracle.model.predictions(batch.images)
    losses = oracle.model.criterion(predictions, targets_of(batch), size)
    return dict(zip(oracle.model.criterion.named(predictions), losses, strict=True))


def _compare(oracle: Oracle, case: str, losses: dict[str, dict[str, torch.Tensor]]) -> None:
    """Every loss by the original's name: loss_ce, loss_ce_0, loss_ce_interm, loss_ce_dn_0, oldm_loss_ce_0."""
    ours = {}
    for name, parts in losses.items():
        suffix = name.replace("dn_last", "_dn").replace("dn_aux", "_dn_").replace("last", "")
        suffix = suffix.replace("aux", "_").replace("interm", "_interm").replace("balance", "_")
        front = "oldm_" if name.startswith("balance") else ""
        ours |= {f"{front}loss_{PARTS[part]}{suffix}": value.item() for part, value in parts.items()}
    assert ours == pytest.approx(oracle.losses(case)["loss"], rel=1e-4)


def _crops(oracle: Oracle, wanted: dict[str, Any]) -> Batch:
    """The case's crops of the image, padded, with its targets."""
    whole = oracle.batch.images[0]
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


@pytest.mark.parametrize("oracle", ["mask2former"], indirect=True)
def test_semantic_and_panoptic(oracle: Oracle) -> None:
    wanted = json.loads((oracle.folder / "panoptic.json").read_text())
    with np.load(oracle.folder / "panoptic.npz") as arrays:
        stored = {name: arrays[name] for name in arrays.files}
    count = wanted["num_classes"]
    classes = Labels(tuple(f"class {i}" for i in range(count)), things=tuple(i < 80 for i in range(count)))
    logits = torch.from_numpy(stored["logits.last"])[None]
    prediction = oracle.last._replace(classes=logits)
    ranking = oracle.model.ranking(logits)
    semantic = semantic_of(ranking.shares[0], prediction, oracle.batch, 0, classes)
    assert (semantic.map[::4, ::4] == stored["semantic.argmax_stride4"]).mean() > 0.9999
    for name in ("panoptic", "panoptic_looser", "panoptic_loosest"):
        case = {"object_mask_threshold": 0.8, "overlap_threshold": 0.8} | wanted[name]
        limits = (case["object_mask_threshold"], case["overlap_threshold"])
        found = panoptic_of(ranking, prediction, oracle.batch, 0, classes, *limits)
        assert found.labels.tolist() == [s["category_id"] for s in case["segments"]]
        np.testing.assert_allclose(found.area, [s["area"] for s in case["segments"]], atol=4)
        assert abs(found.void - case["void_area"]) <= 4
        masks = Masks.from_rle([s["mask"] for s in case["segments"]])
        assert found.masks().iou(masks).diagonal().min() > 0.999
