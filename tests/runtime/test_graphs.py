"""Each family's graph finds what its model finds, with rows of a fixed number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from delineate.core.arrays import ArrayBatch
from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.boxes import iou as iou_of_boxes
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.suppress import nms_boxes
from delineate.models.base import Segmenter
from delineate.models.zoo import build
from delineate.nn.roi import PyramidRoiAlign, stack_rois
from delineate.runtime.detections import apart, best, fixed_survivors, overlaps, survivors
from delineate.runtime.export import export
from delineate.runtime.graphs import Graph, graph_of
from delineate.runtime.manifest import Result
from delineate.runtime.objects import View, Wanted, objects_of
from delineate.runtime.regions import pooled
from delineate.runtime.session import Session
from delineate.runtime.targets.torch_export import trace

TINY: dict[str, Any] = {"backbone": "test_resnet"}
R_CNN = {
    **TINY, "channels": 32, "box_width": 64, "mask_width": 32, "stuff_width": 32,
    "proposals": {"before_nms": 150, "after_nms": 100},
}  # fmt: skip
BOXES = {name: value for name, value in R_CNN.items() if name not in ("mask_width", "stuff_width")}
QUERIES = {
    **TINY, "queries": 12, "encoder_layers": 1, "decoder_layers": 2, "channels": 64, "encoder_hidden": 32,
    "decoder_hidden": 32, "frozen_norms": False,
}  # fmt: skip
YOLACT = {**TINY, "channels": 32, "norm": "batch", "input": InputSpec(stretch=128, divisor=1)}
STUFF = {"stuff": True, "classes": Labels(("a", "b", "sky"), things=(True, True, False))}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "faster_rcnn": ("faster_rcnn", BOXES),
    "mask_rcnn": ("mask_rcnn", R_CNN),
    "panoptic_fpn": ("mask_rcnn", {**R_CNN, **STUFF}),
    "yolact": ("yolact", YOLACT),
    "yolact rated": ("yolact", {**YOLACT, "mask_rating": True}),
    "yolact by box": ("yolact", {**YOLACT, "suppression": {"kind": "box", "iou": 0.5}}),
    "yolact with stuff": ("yolact", {**YOLACT, **STUFF}),
    "yolo_seg by mask": ("yolo_seg_n", {"limits": {"max_det": 1500}}),
    "yolo_seg by prototype": ("yolo_seg_n", {"suppression": {"kind": "prototype", "iou": 0.5}}),
    "yolo_seg one to one": ("yolo_seg_n", {"nms_free": True}),
    "yolo_seg with stuff": ("yolo_seg_n", {**STUFF, "suppression": {"kind": "box", "iou": 0.6}}),
    "mask2former": ("mask2former", QUERIES),
    "maskdino": ("maskdino", QUERIES),
    "dimaskdino": ("dimaskdino", {**QUERIES, "selected": 20, "guides": 5}),
}
PLAIN = ("mask_rcnn", "yolact by box", "yolo_seg with stuff", "maskdino")
LOUDER = {  # so that seeded weights find many objects, of which no two score alike
    "boxes.class_logits.weight": 30, "proposals.head.objectness.weight": 5,
    "proposals.head.offsets.weight": 3, "boxes.offsets.weight": 3, "head.logits.weight": 2,
    "head.offsets.weight": 5, "decoder.to_classes.weight": 6, "decoder.to_classes.bias": 0,
}  # fmt: skip


def picture(seed: int, size: tuple[int, int] = (120, 128)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (*size, 3), dtype=np.uint8)
    for _ in range(8):
        y, x, height, width = *(int(rng.integers(0, side - 20)) for side in size), *rng.integers(12, 60, 2)
        image[y : y + height, x : x + width] = rng.integers(60, 255, 3)
    return image


def seeded(family: str, **given: Any) -> Segmenter:
    torch.manual_seed(0)
    spec = InputSpec(shortest_edge=120, longest_edge=128)
    model = build(family, **{"classes": Labels(("a", "b", "c")), "input": spec, **given})
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None  # statistics of real activations
        if not family.startswith(("mask2", "maskd", "dim")):
            body: Any = getattr(model, "backbone", model)
            body.train()(collate([picture(8), picture(9)], model.input).images)
        for name, tensor in model.named_parameters():
            tensor *= LOUDER.get(name, 1)
            if ".logits." in name and family.startswith("yolo_seg"):
                tensor.mul_(8) if name.endswith("weight") else tensor.add_(4)
            if name == "rater.out.bias":
                tensor += 0.3
    return model.eval()


def run(graph: Graph, batch: Batch) -> dict[str, torch.Tensor]:
    given = {"images": batch.images, "sizes": torch.tensor(batch.sizes, dtype=torch.float32)}
    with torch.inference_mode():
        return dict(zip(graph.outputs, graph(*(given[name] for name in graph.inputs)), strict=True))


def finished(graph: Graph, batch: Batch, classes: Labels) -> list[Instances]:
    outputs = {name: part.numpy() for name, part in run(graph, batch).items()}
    arrays = ArrayBatch(batch.images.numpy(), batch.sizes, batch.originals)
    return [objects_of(graph.result, outputs, View(arrays, i), classes, Wanted()) for i in range(len(batch))]


def without_twin(some: Instances, others: Instances) -> int:
    if not len(some) or not len(others):
        return len(some)
    if some.masks is not None and others.masks is not None:
        iou = some.masks.iou(others.masks)
    else:
        iou = iou_of_boxes(some.boxes, others.boxes)
    same = (some.labels[:, None] == others.labels) & (np.abs(some.scores[:, None] - others.scores) < 1e-3)
    return int((np.where(same, iou, 0).max(axis=1) < 0.98).sum())


@pytest.mark.parametrize(
    ("name", "plain"), [*((name, False) for name in CASES), *((name, True) for name in PLAIN)]
)
def test_a_graph_finds_what_its_model_finds(name: str, plain: bool) -> None:
    family, given = CASES[name]
    model = seeded(family, **given)
    graph = graph_of(model, tensorrt_ready=plain)
    batch = collate([picture(1), picture(2, (128, 90))], model.input)
    outputs = run(graph, batch)
    assert tuple(outputs) == graph.outputs
    assert outputs["scores"].shape[1] <= graph.result.count
    assert (outputs["scores"].diff(dim=1) <= 0).all()
    assert graph.result.tasks == model.tasks
    wanted = model.detect(batch)
    found = finished(graph, batch, model.classes)
    assert sum(len(objects) for objects in wanted) >= 12
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.size == theirs.size
        assert without_twin(ours, theirs) == without_twin(theirs, ours) == 0


@pytest.mark.parametrize("name", ["mask_rcnn", "yolact by box", "yolo_seg by mask", "maskdino"])
def test_one_graph_takes_any_number_of_images_of_its_size(name: str) -> None:
    family, given = CASES[name]
    graph = graph_of(seeded(family, **given))
    traced = trace(graph, (128, 128), False, 32, batches=True).module()
    for count in (1, 3):
        inputs = graph.example((128, 128), count)
        with torch.inference_mode():
            for ours, theirs in zip(traced(*inputs), graph(*inputs), strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_rated_masks_come_out_of_other_runtimes(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra export")
    family, given = CASES["yolact rated"]
    model = seeded(family, **given)
    path = export(model, tmp_path / "rated.onnx", size=128)
    for runtime in ("onnxruntime", "openvino"):
        session = Session(path, runtime=runtime, threads=1)
        for seed, size in ((5, (128, 128)), (6, (100, 80))):  # neither is the image it was traced with
            batch = collate([picture(seed, size)], session.input)
            wanted, found = model.detect(batch)[0], session.detect(batch)[0]
            assert len(wanted) > 20
            assert without_twin(wanted, found) + without_twin(found, wanted) <= 2  # near ties


def test_queries_ready_for_tensorrt_find_what_their_model_finds(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra export")
    family, given = CASES["maskdino"]
    model = seeded(family, **given)
    session = Session(export(model, tmp_path / "a.onnx", to="tensorrt-ready", size=128), threads=1)
    batch = collate([picture(5)], session.input)
    wanted, found = model.detect(batch)[0], session.detect(batch)[0]
    assert len(wanted) >= 12
    assert without_twin(wanted, found) + without_twin(found, wanted) <= 1  # near ties


def test_the_two_stage_graph_gives_the_models_own_numbers() -> None:
    model = seeded("mask_rcnn", **R_CNN)
    batch = collate([picture(3), picture(4, (100, 128))], model.input)
    with torch.inference_mode():
        wanted: Any = model.prepared()(batch.images, batch.sizes)
    found = run(graph_of(model), batch)
    filled = found["scores"] > 0
    assert filled.sum(1).tolist() == wanted.counts.tolist()
    assert torch.equal(found["labels"][filled], wanted.labels[filled])
    for part in ("boxes", "scores", "masks"):
        torch.testing.assert_close(found[part][filled], getattr(wanted, part)[filled], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("family", "given", "kind", "outputs"),
    [
        ("center_offset", {"channels": [8, 8]}, "maps", ("classes", "offsets")),
        ("semantic_fpn", TINY, "pixels", ("logits",)),
    ],
)
def test_dense_maps_are_the_models(
    family: str, given: dict[str, Any], kind: str, outputs: tuple[str, ...]
) -> None:
    model = build(family, classes=Labels(("a",)), **given).eval()
    graph = graph_of(model)
    assert (graph.result.kind, graph.outputs, graph.result.tasks) == (kind, outputs, model.tasks)
    images = graph.example((64, 96), batch=2)[0]
    with torch.inference_mode():
        for ours, theirs in zip(graph(images), model(images), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_fewer_rows_are_the_best_ones() -> None:
    model = seeded("mask_rcnn", **R_CNN)
    batch = collate([picture(5)], model.input)
    many, few = (run(graph_of(model, max_det=count), batch) for count in (60, 7))
    assert few["scores"].shape == (1, 7)
    assert torch.equal(few["scores"], many["scores"][:, :7])
    assert few["masks"].shape == (1, 7, 28, 28)


@pytest.mark.parametrize(
    ("given", "rows", "named"),
    [({"suppression": {"kind": "soft"}}, None, "soft"), ({}, 0, "max_det")],
)
def test_what_is_no_fixed_graph_is_refused(given: dict[str, Any], rows: int | None, named: str) -> None:
    with pytest.raises(InputError, match=named):
        graph_of(build("yolo_seg_n", **given), max_det=rows)


def test_models_of_others_are_refused() -> None:
    with pytest.raises(InputError, match="family of the zoo"):
        graph_of(Segmenter())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), threshold=st.sampled_from([0.1, 0.5, 0.9, 1.0]))
@pytest.mark.parametrize("plain", [False, True], ids=["", "plain"])
def test_survivors_are_those_of_greedy_suppression(
    plain: bool, seed: int, count: int, threshold: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    corner, side = torch.rand(2, count, 2, generator=draw) * 40, torch.rand(2, count, 2, generator=draw) * 20
    boxes = torch.cat([corner, corner + side], 2)
    scores = torch.rand(2, count, generator=draw).sort(1, descending=True).values
    groups = torch.randint(0, 3, (2, count), generator=draw)
    stays = survivors(boxes, scores, threshold, groups, plain=plain)
    for image in range(2):
        wanted = nms_boxes(boxes[image].numpy(), scores[image].numpy(), threshold, groups[image].numpy())
        assert torch.where(stays[image])[0].tolist() == sorted(wanted.tolist())


def test_long_chains_of_suppression_are_followed_to_their_end() -> None:
    clash = torch.diag_embed(torch.ones(20, dtype=torch.bool), 1)  # each clashes with the next
    assert fixed_survivors(clash).tolist() == [k % 2 == 0 for k in range(21)]


def test_overlaps_are_torchvisions() -> None:
    corner = torch.rand(2, 9, 2) * 10
    boxes = torch.cat([corner, corner + torch.rand(2, 9, 2) * 8], 2)
    for image in range(2):
        torch.testing.assert_close(overlaps(boxes, boxes)[image], box_iou(boxes[image], boxes[image]))
    assert overlaps(torch.zeros(1, 4), torch.zeros(1, 4)).tolist() == [[0.0]]


@pytest.mark.parametrize("count", [1, 3, 80, 1203, 4093])
def test_pairs_come_apart_exactly(count: int) -> None:
    pairs = torch.cat([torch.arange(5000), torch.arange(2**24 - 10_000, 2**24)])
    rows, columns = apart(pairs, count)
    assert torch.equal(rows, pairs // count) and torch.equal(columns, pairs % count)


def test_the_best_of_few_are_all() -> None:
    assert best(torch.tensor([[0.1, 0.9, 0.5]]), 10)[1].tolist() == [[1, 2, 0]]
    assert best(torch.zeros(2, 0), 5)[0].shape == (2, 0)


@pytest.mark.parametrize("plain", [False, True])
def test_regions_are_pooled_as_the_model_pools_them(plain: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 3, 64 // 2**k, 96 // 2**k, generator=draw) for k in range(5)]
    corner = torch.rand(2, 30, 2, generator=draw) * 200
    boxes = torch.cat([corner, corner + torch.rand(2, 30, 2, generator=draw) ** 3 * 400], 2)
    boxes[0, 0] = 0  # an empty row
    pool = PyramidRoiAlign(7)
    found = pooled(pool, maps, boxes, plain).view(2, 30, 3, 7, 7)
    wanted = pool(maps, stack_rois(list(boxes))).view(2, 30, 3, 7, 7)
    torch.testing.assert_close(found[0, 1:], wanted[0, 1:])
    torch.testing.assert_close(found[1], wanted[1])


@pytest.mark.parametrize(
    "record",
    [{"kind": "else"}, {"count": -1}, {"masks": "round"}, {"iou": 2.0}, {"strange": 1}, {"confidence": None}],
)
def test_a_result_that_is_none_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Result.from_dict(record)
