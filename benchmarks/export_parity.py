"""Every family through every exporter: are the objects the model's?

    python benchmarks/export_parity.py OUT [--size 160] [--backbone test_resnet] [--only mask_rcnn ...]

Weights are seeded and made loud, so that there are many objects, of which no two score alike: harder on an
export than trained weights, whose objects are few and sure. Each family is exported to ONNX, to ONNX ready
for TensorRT, to torch.export, and to ONNX for any number of images; each file runs on the same unseen images
as the model, ONNX by ONNX Runtime and by OpenVINO. A second call does only what is missing.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from delineate.core.batch import InputSpec, collate
from delineate.core.errors import DelineateError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.models.base import Segmenter
from delineate.models.zoo import build
from delineate.runtime.export import export
from delineate.runtime.parity import compare
from delineate.runtime.session import Session

TARGETS = {
    "onnx": (".onnx", ("onnxruntime", "openvino")),
    "tensorrt-ready": (".onnx", ("onnxruntime",)),
    "torch.export": (".pt2", ("torch.export",)),
    "batches": (".onnx", ("onnxruntime", "openvino")),
}
FILES = {"batches": "onnx"}
STUFF = {"stuff": True, "classes": Labels(("a", "b", "sky"), things=(True, True, False))}
YOLACT: dict[str, Any] = {"norm": "batch", "stretch": True}
QUERIES = {"frozen_norms": False, "encoder_layers": 1, "decoder_layers": 3}  # layers are alike
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mask_rcnn": ("mask_rcnn", {}),
    "faster_rcnn": ("faster_rcnn", {}),
    "panoptic_fpn": ("mask_rcnn", STUFF),
    "yolact": ("yolact", YOLACT),
    "yolact, rated masks": ("yolact", {**YOLACT, "mask_rating": True}),
    "yolact, stuff": ("yolact", {**YOLACT, **STUFF}),
    "yolo_seg_n": ("yolo_seg_n", {}),
    "yolo_seg_n, one to one": ("yolo_seg_n", {"nms_free": True}),
    "yolo_seg_n, stuff": ("yolo_seg_n", STUFF),
    "mask2former": ("mask2former", QUERIES),
    "maskdino": ("maskdino", QUERIES),
    "dimaskdino": ("dimaskdino", QUERIES),
    "semantic_fpn": ("semantic_fpn", {}),
    "center_offset": ("center_offset", {}),
}
LOUDER = {
    "boxes.class_logits.weight": 30, "proposals.head.objectness.weight": 5,
    "proposals.head.offsets.weight": 3, "boxes.offsets.weight": 3, "head.logits.weight": 2,
    "head.offsets.weight": 5, "decoder.to_classes.weight": 6, "decoder.to_classes.bias": 0,
}  # fmt: skip


def picture(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Noise with rectangles of plain colours on it."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (*size, 3), dtype=np.uint8)
    for _ in range(10):
        height, width = (int(rng.integers(side // 10, side // 2)) for side in size)
        y, x = int(rng.integers(0, size[0] - height)), int(rng.integers(0, size[1] - width))
        image[y : y + height, x : x + width] = rng.integers(60, 255, 3)
    return image


def seeded(case: str, size: int, backbone: str) -> Segmenter:
    """A family with loud seeded weights and norms that know real activations."""
    family, given = CASES[case]
    settings = {"classes": Labels(("a", "b", "c")), **given}
    own = family.startswith(("yolo", "center"))
    stretch = size if settings.pop("stretch", False) else None
    spec = InputSpec(size, size, 1 if stretch else 32, stretch=stretch)
    torch.manual_seed(0)
    model = build(family, input=spec, **settings, **({} if own else {"backbone": backbone}))
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None
        part: Any = getattr(model, "backbone", model)
        part.train()(collate([picture(seed, (size, size)) for seed in (8, 9)], spec).images)
        for name, tensor in model.named_parameters():
            tensor *= LOUDER.get(name, 1)
            if family.startswith("yolo") and ".logits." in name:
                tensor.mul_(8) if name.endswith("weight") else tensor.add_(4)
            if name == "head.bias":
                tensor[:3] += 3
            if name == "rater.out.bias":
                tensor += 0.3
    return model.eval()


class Together(Session):
    """An export for batches, which sees each image between two others."""

    def find_instances(self, images: Sequence[NDArray[Any]], **limits: Any) -> list[Instances]:
        """Of the images alone."""
        height, width = self.manifest.size
        others = [picture(seed, (height, width * part // 2)) for seed, part in ((21, 2), (22, 1))]
        return super().find_instances([others[0], *images, others[1]], **limits)[1:-1]


def measured(case: str, target: str, asked: argparse.Namespace) -> dict[str, Any]:
    """By runtime: seconds to export, and how far the file is from the model."""
    ending, runtimes = TARGETS[target]
    model = seeded(case, asked.size, asked.backbone)
    path = asked.out / f"{case.replace(', ', '-').replace(' ', '_')}-{target}{ending}"
    start = time.process_time()
    try:
        export(model, path, to=FILES.get(target, target), size=asked.size, batches=target == "batches")
    except DelineateError as error:
        return {runtime: {"refused": str(error)} for runtime in runtimes}
    seconds = time.process_time() - start
    shapes = [(asked.size, asked.size), (asked.size, asked.size * 3 // 4), (asked.size * 2 // 3, asked.size)]
    images = [picture(seed, shape) for seed, shape in enumerate(shapes, start=1)]
    rows = {}
    for runtime in runtimes:
        kind = Together if target == "batches" else Session
        parity = compare(model, kind(path, runtime=runtime, threads=1), images)
        names = ("outputs", "objects", "differing", "boxes", "scores", "pixels")
        rows[runtime] = {"seconds": seconds, **{name: getattr(parity, name) for name in names}}
    path.unlink()
    return rows


def cell(row: dict[str, Any] | None) -> str:
    """One cell of the table."""
    if row is None:
        return ""
    if "refused" in row:
        return "refused"
    if row["pixels"] is not None:
        return f"{row['outputs']:.0e}, {row['pixels']:.2%} of pixels"
    if row["outputs"] is not None:
        return f"{row['outputs']:.0e}, {row['differing']} of {row['objects']}"
    return f"{row['differing']} of {row['objects']}, {row['boxes']:.0e} px, {row['scores']:.0e}"


def main() -> None:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--backbone", default="test_resnet")
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--targets", nargs="*", default=list(TARGETS))
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # loud weights fill every row, and each model says so
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    notes = asked.out / "parity.json"
    rows: dict[str, Any] = json.loads(notes.read_text()) if notes.exists() else {}
    for target in asked.targets:
        for case in asked.only:
            if f"{case}|{target}" not in rows:
                rows[f"{case}|{target}"] = measured(case, target, asked)
                notes.write_text(json.dumps(rows, indent=1))
    columns = [(target, runtime) for target in asked.targets for runtime in TARGETS[target][1]]
    print(f"| {' | '.join(['', *(f'{t}, {r}' for t, r in columns)])} |\n|{'---|' * (len(columns) + 1)}")
    for case in asked.only:
        found = [rows.get(f"{case}|{target}", {}).get(runtime) for target, runtime in columns]
        print(f"| {' | '.join([case, *(cell(row) for row in found)])} |")


if __name__ == "__main__":
    main()
