"""Mask2Former against ``transformers``' with the same weights: the network, and from outputs to instances.

    taskset -c 0 env OMP_NUM_THREADS=1 python benchmarks/queries.py IMAGE [--backbone resnet|swin] [--pairs 3]

Weights are random and seeded, copied by the key map for Hugging Face's files; nothing is downloaded. Needs
``transformers`` in the environment. Times are CPU seconds of the process, medians over alternated pairs, so
that a shared machine disturbs both alike.

Random weights find nothing, so the results begin at stated outputs, the same for both sides: ``N shapes`` are
N queries that are sure of a class, whose mask logits are those of ellipses (half axes of 2 to 30 % of the
image) with some noise, and the others sure of none; ``N noise`` are the network's own mask logits, which lie
about 0 everywhere. Peak memory is that of a fresh process that holds nothing but the outputs: how far its
resident size rises while it works.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from delineate.core.batch import Batch, collate
from delineate.data import images
from delineate.models.queries.build import mask2former
from delineate.models.queries.decoder import Prediction
from delineate.models.queries.mask2former import Mask2Former

BACKBONES = {"resnet": "resnet50", "swin": "swin_tiny_patch4_window7_224"}
CASES = ("20 shapes", "100 shapes", "100 noise")
CONFIDENCE = 0.5


def their_model(backbone: str) -> Any:
    """transformers' model with random weights."""
    import transformers

    transformers.logging.set_verbosity_error()
    stages = ["stage1", "stage2", "stage3", "stage4"]
    if backbone == "swin":
        body: Any = transformers.SwinConfig(
            embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7, out_features=stages
        )
    else:
        body = transformers.ResNetConfig(out_features=stages)
    torch.manual_seed(0)
    config = transformers.Mask2FormerConfig(backbone_config=body, num_labels=80)
    return transformers.Mask2FormerForUniversalSegmentation(config).eval()


def paired(pairs: int, *sides: Callable[[], Any]) -> list[float]:
    """Median CPU seconds of each side, the sides taking turns; one round goes before."""
    taken: list[list[float]] = [[] for _ in sides]
    for turn in range(pairs + 1):
        for side, times in zip(sides, taken, strict=True):
            start = time.process_time()
            side()
            if turn:
                times.append(time.process_time() - start)
    return [statistics.median(times) for times in taken]


def outputs_of(case: str, prediction: Prediction) -> Prediction:
    """Outputs of which the stated number of queries are sure; the network's own size."""
    count, kind = case.split()
    generator = torch.Generator().manual_seed(1)
    queries = prediction.classes.shape[1]
    classes = torch.zeros_like(prediction.classes)
    sure = torch.arange(queries) < int(count)
    labels = torch.randint(80, (queries,), generator=generator)
    classes[0, torch.arange(queries), torch.where(sure, labels, 80)] = 12.0
    if kind == "noise":
        return prediction._replace(classes=classes)
    height, width = prediction.features.shape[2:]
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    centre = torch.rand(queries, 2, 1, 1, generator=generator)
    half = 0.02 * 15 ** torch.rand(queries, 2, 1, 1, generator=generator)
    radius = (((x - centre[:, 0]) / half[:, 0]) ** 2 + ((y - centre[:, 1]) / half[:, 1]) ** 2).sqrt()
    logits = (8 * (1 - radius)).clamp(min=-8) + 0.3 * torch.randn(radius.shape, generator=generator)
    features = torch.zeros_like(prediction.features)
    features[0, :queries] = logits  # a channel each, and vectors that choose it: the product is the logits
    return Prediction(classes, torch.eye(queries, features.shape[1])[None], features)


def our_results(model: Mask2Former, outputs: Prediction, batch: Batch) -> Any:
    """Instances at the original size."""
    return model.instances(outputs, batch, confidence=CONFIDENCE)[0]


def their_results(processor: Any, classes: Tensor, masks: Tensor, size: tuple[int, int]) -> Any:
    """One binary map per instance at the original size."""
    outputs = SimpleNamespace(class_queries_logits=classes, masks_queries_logits=masks)
    return processor.post_process_instance_segmentation(
        outputs, threshold=CONFIDENCE, target_sizes=[size], return_binary_maps=True
    )[0]


def their_processor() -> Any:
    """transformers' post-processing."""
    from transformers import Mask2FormerImageProcessor

    return Mask2FormerImageProcessor()


def resident(field: str) -> int:
    """A line of this process's memory, in bytes: ``VmRSS`` now, ``VmHWM`` at its highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def measure_memory(side: str, file: Path) -> None:
    """Of one side, in a fresh process: megabytes by which the resident size rises; printed."""
    stored = torch.load(file, weights_only=True)
    size, padded, inner = stored["size"], stored["padded"], stored["inner"]
    if side == "ours":
        model = mask2former(backbone="resnet18", encoder_layers=1, decoder_layers=1).eval()
        batch = Batch(torch.zeros(1, 3, *padded), [inner], [size], None)
        whole = Prediction(stored["classes"], stored["vectors"], stored["features"])

        def work(outputs: Any) -> Any:
            return our_results(model, outputs, batch)

        small: Any = whole._replace(features=whole.features[:, :, :8, :8])
    else:
        processor = their_processor()
        whole = (stored["classes"], stored["masks"])

        def work(outputs: Any) -> Any:
            return their_results(processor, *outputs, size)

        small = (stored["classes"][:, :2], stored["masks"][:, :2])
    work(small)  # libraries load on first use
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest is the present one again
    kept = work(whole)
    print((resident("VmHWM") - before) / 1e6)
    del kept


def memory(side: str, stored: dict[str, Any]) -> float:
    """Megabytes; see :func:`measure_memory`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outputs.pt"
        torch.save(stored, file)
        environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed is given back
        command = [sys.executable, __file__, str(file), "--memory", side]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return float(done.stdout)


def main() -> None:
    """Print a line per measurement, and all as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--backbone", choices=BACKBONES, default="resnet")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=CASES)
    parser.add_argument("--memory", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    if asked.memory:
        measure_memory(asked.memory, asked.image)
        return
    theirs = their_model(asked.backbone)
    model = mask2former(backbone=BACKBONES[asked.backbone]).eval()
    model.load_published(theirs.state_dict())
    ready = model.prepared()
    batch = collate([images.read(asked.image).pixels], model.input)
    size = batch.originals[0]
    found, wanted = ready(batch.images), theirs(pixel_values=batch.images)
    apart = (found.masks() - wanted.masks_queries_logits).abs().max()
    print(f"image {size}, network {tuple(batch.images.shape[2:])}, mask logits differ by {apart:.1e}")
    results: dict[str, Any] = {"backbone": asked.backbone}
    ours, peer = paired(asked.pairs, lambda: ready(batch.images), lambda: theirs(pixel_values=batch.images))
    results["network"] = {"ours_s": ours, "theirs_s": peer}
    print(f"network: {ours:.2f} s, transformers {peer:.2f} s, {peer / ours:.2f} times")
    processor = their_processor()
    for case in asked.cases:
        results[case] = results_of(case, found, batch, model, processor, asked.pairs)
    print(json.dumps(results))


def results_of(
    case: str, prediction: Prediction, batch: Batch, model: Mask2Former, processor: Any, pairs: int
) -> dict[str, float]:
    """Time and memory from outputs to instances, both sides."""
    outputs, size = outputs_of(case, prediction), batch.originals[0]
    masks = outputs.masks()
    ours = our_results(model, outputs, batch)
    theirs = their_results(processor, outputs.classes, masks, size)["segmentation"]
    overlap = agreement(torch.from_numpy(ours.masks.dense()), theirs > 0)
    seconds = paired(
        3 * pairs,
        lambda: our_results(model, outputs, batch),
        lambda: their_results(processor, outputs.classes, masks, size),
    )
    stored: dict[str, Any] = {
        "classes": outputs.classes.clone(), "vectors": outputs.vectors.clone(),
        "features": outputs.features.clone(), "masks": masks, "size": size,
        "padded": tuple(batch.images.shape[2:]), "inner": batch.sizes[0],
    }  # fmt: skip
    needed = [
        memory("ours", {name: value for name, value in stored.items() if name != "masks"}),
        memory("theirs", {name: stored[name] for name in ("classes", "masks", "size", "padded", "inner")}),
    ]
    print(
        f"{case}: {seconds[0] * 1e3:.1f} ms, transformers {seconds[1] * 1e3:.1f} ms, "
        f"{seconds[1] / seconds[0]:.1f} times; peak {needed[0]:.1f} MB, transformers {needed[1]:.1f} MB, "
        f"{needed[1] / needed[0]:.1f} times; {len(ours)} and {len(theirs)} instances, mean best IoU "
        f"{overlap:.2f}"
    )
    return dict(zip(("ours_s", "theirs_s", "ours_mb", "theirs_mb"), [*seconds, *needed], strict=True))


def agreement(ours: Tensor, theirs: Tensor) -> float:
    """Mean over our (N, H, W) masks of the best IoU with one of theirs, every third row and column.

    Not 1: they enlarge what was cut at 384 x 384, padding and all.
    """
    a, b = (masks[:, ::3, ::3].flatten(1).float() for masks in (ours, theirs))
    shared = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1) - shared
    return float((shared / union.clamp(min=1)).amax(1).mean())


if __name__ == "__main__":
    main()
