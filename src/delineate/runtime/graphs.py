"""A family's network and the first half of its results as one graph: tensors in, a fixed number of rows out.

What stays outside needs no weights and no network: enlarging masks to the image's pixels, a lower limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from delineate.core.errors import InputError
from delineate.models.base import Segmenter
from delineate.models.center_offset import CenterOffset
from delineate.models.mask_rcnn.model import FasterRCNN
from delineate.models.queries.mask2former import Mask2Former
from delineate.models.semantic_fpn import SemanticFPN
from delineate.models.yolact.model import Yolact
from delineate.models.yolo_seg.model import YoloSeg

from .manifest import MOST, Result

MAX_BATCH = 1024


class Graph(nn.Module):
    """What is exported in place of a model. Its forward takes and gives what ``inputs`` and ``outputs`` name.

    Args:
        model: prepared for detection; its weights are shared.
        max_det: so many rows an image; None: the model's own number.
        plain: only operators that every runtime knows, see :func:`graph_of`.

    Attributes:
        inputs: ``images`` (B, 3, H, W) float32, and for some ``sizes``, see :class:`.manifest.Manifest`.
        outputs: names of what comes out, in order.
        result: what that is.
        dynamic: whether one graph may take images of any size; any number of one size every family's may.
    """

    inputs: tuple[str, ...] = ("images",)
    dynamic = False

    def __init__(self, model: Any, max_det: int | None = None, *, plain: bool = False) -> None:
        super().__init__()
        self.model, self.plain = model, plain
        self.outputs, self.result = self.describe(max_det)

    def describe(self, max_det: int | None) -> tuple[tuple[str, ...], Result]:
        """Names of the outputs, and what they are."""
        raise NotImplementedError

    def example(self, size: tuple[int, int], batch: int = 1) -> tuple[Tensor, ...]:
        """Inputs of a shape, to trace with: noise, so that no part of the graph stays unused."""
        noise = torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(0))
        given = {"images": noise, "sizes": torch.tensor([size] * batch, dtype=torch.float32)}
        return tuple(given[name] for name in self.inputs)

    def dynamic_shapes(self, divisor: int | None) -> tuple[dict[int, Any], ...]:
        """For ``torch.export``: 1 to 1024 images, sides any multiple of ``divisor``; None: of one size."""
        batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
        if divisor is None:
            return tuple({0: batch} for _ in self.inputs)
        most = MOST // divisor
        high, wide = (torch.export.Dim(name, min=1, max=most) for name in ("rows", "columns"))
        if divisor > 1:
            high, wide = divisor * high, divisor * wide
        shapes = {"images": {0: batch, 2: high, 3: wide}, "sizes": {0: batch}}
        return tuple(shapes[name] for name in self.inputs)


class Maps(Graph):
    """Dense maps whose votes are grouped into objects outside: there is no limit on how many."""

    dynamic = True

    def describe(self, max_det: int | None) -> tuple[tuple[str, ...], Result]:
        """The family's two maps."""
        return ("classes", "offsets"), Result("maps", confidence=0.5)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> (B, K, H, W) logits and (B, 2, H, W) offsets in pixels."""
        return tuple(self.model(images))


class Pixels(Graph):
    """A score for each class and cell."""

    dynamic = True

    def describe(self, max_det: int | None) -> tuple[tuple[str, ...], Result]:
        """Logits."""
        return ("logits",), Result("pixels", tasks=("semantic",))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> (B, K, H / 4, W / 4)."""
        return tuple(self.model(images))


def graph_of(model: Segmenter, *, max_det: int | None = None, tensorrt_ready: bool = False) -> Graph:
    """The graph of a model; the model is left as it is.

    Args:
        model: of any family.
        max_det: rows of each image; default the model's own limit, for queries 100.
        tensorrt_ready: without operators that TensorRT lacks or gets wrong: bilinear sampling by gathers in
            place of ``GridSample``, suppression by products in place of ``NonMaxSuppression``, no list whose
            length depends on the image. Slower on a processor; the results are the same to rounding.

    Returns:
        In evaluation mode, on the CPU, norms folded.

    Raises:
        InputError: a family or a setting that is no fixed graph, or ``max_det`` below 1.
    """
    from .graphs_boxes import BoxGraph
    from .graphs_queries import QueryGraph
    from .graphs_whole import PointGraph, PriorGraph

    if max_det is not None and not 1 <= max_det <= 100_000:
        raise InputError(f"export, max_det: expected 1 to 100000, got {max_det}; try 100")
    kinds: list[tuple[type[Segmenter], Callable[..., Graph]]] = [
        (CenterOffset, Maps),
        (SemanticFPN, Pixels),
        (FasterRCNN, BoxGraph),
        (Yolact, PriorGraph),
        (YoloSeg, PointGraph),
        (Mask2Former, QueryGraph),
    ]
    ready = model.prepared().cpu().to(memory_format=torch.contiguous_format)
    for family, kind in kinds:
        if isinstance(model, family):
            return kind(ready, max_det, plain=tensorrt_ready).eval().requires_grad_(False)
    raise InputError(
        f"export: expected a family of the zoo, got {getattr(model, 'family', type(model).__name__)!r}; "
        "it runs in PyTorch only"
    )
