"""What an exported model says of itself, kept inside the file: enough to turn its outputs into objects."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from delineate.core.errors import CheckpointError, InputError
from delineate.core.input_spec import InputSpec
from delineate.core.labels import Labels

if TYPE_CHECKING:
    from torch import nn

    from delineate.models.base import Segmenter

FORMAT = 2  # version of the manifest's JSON
KEY = "delineate"  # where an ONNX file's metadata and an OpenVINO model's runtime info hold it
LONGEST_NAME = 200  # characters
MOST = 8192  # longest side of an exported input, in pixels
Kind = Literal["network", "detections", "maps", "pixels"]
MaskRule = Literal["", "box", "cells", "soft_cells", "image"]


@dataclass(frozen=True)
class Result:
    """What a graph's outputs are, and what is left to do with them.

    Outputs of ``detections``, for B images and K rows each, best first, in pixels of the input tensor:
    ``boxes`` (B, K, 4) float32 xyxy, ``scores`` (B, K) float32 with 0 in empty rows, ``labels`` (B, K) int64.
    Where there are masks, ``masks`` (B, M, h, w) float32; where M is not K, ``rows`` (B, K) int64 tells the
    mask of each row. Graphs with stuff add ``stuff`` (B, S + 1, h, w), logits over the padded input of the
    classes that are stuff, in order, and of "other". Graphs of queries add ``shares`` (B, M, classes) and
    ``sure`` (B, M): how queries compete for pixels. ``maps``: the family's dense maps, to be grouped into
    objects. ``pixels``: ``logits`` (B, classes, h, w) over the padded input.

    Attributes:
        kind: "network": the family's own outputs, as exported until format 1; the others as above.
        tasks: of ``instance``, ``semantic`` and ``panoptic``.
        count: K; 0 where there are no rows.
        masks: "": none. "box": probabilities stretched over each row's box, as ``Masks.paste``. "cells":
            logits over the padded input, enlarged to the image's pixels, above 0, within the row's box, as
            ``core.prototypes.assemble``. "soft_cells": the same by its rule "yolact". "image": logits resized
            to the padded input, cut to the image, resized to the original, above 0; a row's score is
            multiplied by the mean probability of its mask's pixels, and rows without a pixel are left out.
        boxes_from_masks: the rows' boxes are those of their masks, not ``boxes``.
        confidence: default; rows with a score above it are objects. The graph holds none below ``floor``.
        floor: the confidence that acts inside the graph.
        iou: the threshold of suppression inside the graph; None: nothing is suppressed there by box.
        mask_iou: rows of a class whose masks overlap more are one object; still to be done. None: nothing is.
        mask_measure: of that overlap, "iou" or "ios".
        sure: default confidence of the segments of queries, 0..1.
    """

    kind: Kind = "network"
    tasks: tuple[str, ...] = ("instance",)
    count: int = 0
    masks: MaskRule = ""
    boxes_from_masks: bool = False
    confidence: float = 0.0
    floor: float = 0.0
    iou: float | None = None
    mask_iou: float | None = None
    mask_measure: Literal["iou", "ios"] = "iou"
    sure: float = 0.5

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Result:
        """The inverse of ``asdict``.

        Raises:
            ValueError: a field that is none, or a value out of its range.
        """
        strange = set(record) - {f.name for f in fields(cls)}
        if strange:
            raise ValueError(f"result.{min(strange)}")
        result = cls(**{**record, "tasks": tuple(str(task) for task in record.get("tasks", ("instance",)))})
        chosen = (
            (result.kind, get_args(Kind)),
            (result.masks, get_args(MaskRule)),
            (result.mask_measure, ("iou", "ios")),
        )
        if any(value not in choices for value, choices in chosen):
            raise ValueError("result: a word that is none of ours")
        if type(result.count) is not int or not 0 <= result.count <= 100_000:
            raise ValueError("result.count")
        for name in ("confidence", "floor", "iou", "mask_iou", "sure"):
            value = getattr(result, name)
            optional = value is None and name in ("iou", "mask_iou")
            if not optional and not (isinstance(value, int | float) and 0 <= value <= 1):
                raise ValueError(f"result.{name}")
        return result


@dataclass(frozen=True)
class Manifest:
    """What an exported model says of itself.

    Attributes:
        family: the builder's name in the zoo.
        settings: the builder's settings, JSON-able.
        classes: the class names.
        input: how images become its input.
        size: (height, width) of the input tensor; with ``dynamic``, of the one it was made with.
        dynamic: whether it takes any number of images of any size (multiples of ``input.divisor``).
        outputs: the names of its outputs, in the graph's order.
        licence: SPDX name of the weights' licence; empty where unknown.
        weights: SHA-256 of the weights it was made of, see :func:`weights_hash`.
        format: version of this manifest.
        inputs: the names of its inputs: ``images`` (B, 3, H, W) float32, and for some ``sizes`` (B, 2)
            float32, the height and width of the part of each that is image, as ``Batch.sizes``.
        result: what the outputs are.
        context: pixels around an object that it depends on, see :attr:`Segmenter.context`.
        precision: of the weights and sums: "fp32", "fp16", "int8".
        batches: whether it takes any number of images of its one size at once; see ``dynamic`` for any size.
        name: what reports call the model, such as "nuclei"; empty in older files: the family.
    """

    family: str
    settings: dict[str, Any]
    classes: Labels
    input: InputSpec
    size: tuple[int, int]
    dynamic: bool
    outputs: tuple[str, ...]
    licence: str = ""
    weights: str = ""
    format: int = FORMAT
    inputs: tuple[str, ...] = ("images",)
    result: Result = field(default_factory=Result)
    context: int | None = None
    precision: str = "fp32"
    name: str = ""
    batches: bool = False

    def to_json(self) -> str:
        """One JSON object."""
        plain = {**asdict(self), "classes": self.classes.to_dict(), "input": self.input.to_dict()}
        return json.dumps(plain, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """The inverse of :meth:`to_json`; also reads format 1, which had no ``result``.

        Raises:
            CheckpointError: not JSON, a missing or impossible field, or a newer format.
        """
        try:
            plain = json.loads(text)
            version = int(plain["format"])
            if version > FORMAT:
                raise CheckpointError(
                    f"{where}: expected manifest format {FORMAT} or older, got {version}; update delineate"
                )
            height, width = (int(n) for n in plain["size"])
            if not (1 <= height <= MOST and 1 <= width <= MOST):
                raise ValueError(f"size {height} x {width}")
            inputs = tuple(str(name) for name in plain.get("inputs", ["images"]))
            if inputs not in (("images",), ("images", "sizes")):
                raise ValueError("inputs")
            context = plain.get("context")
            name = str(plain.get("name", ""))
            if len(name) > LONGEST_NAME or not name.isprintable():
                raise ValueError("name")
            return cls(
                family=str(plain["family"]),
                settings=dict(plain["settings"]),
                classes=Labels.from_dict(plain["classes"]),
                input=InputSpec.from_dict(plain["input"]),
                size=(height, width),
                dynamic=bool(plain["dynamic"]),
                outputs=tuple(str(name) for name in plain["outputs"]),
                licence=str(plain["licence"]),
                weights=str(plain["weights"]),
                format=version,
                inputs=inputs,
                result=Result.from_dict(dict(plain.get("result", {}))),
                context=None if context is None else int(context),
                precision=str(plain.get("precision", "fp32")),
                name=name,
                batches=bool(plain.get("batches", False)),
            )
        except CheckpointError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise CheckpointError(
                f"{where}: expected a model exported by delineate, got another or a damaged one "
                f"({type(error).__name__} {str(error)[:200]}); export it again"
            ) from None

    def skeleton(self, where: str) -> tuple[Segmenter, Any]:
        """The family without weights, and its outputs for one image: names and shapes, no numbers.

        Raises:
            CheckpointError: no such family, or settings, outputs or sizes that are not its own.
        """
        import torch

        from delineate.models.zoo import build

        try:
            with torch.device("meta"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on what the other device cannot do
                settings = {**self.settings, "classes": self.classes, "input": self.input}
                model = build(self.family, **settings).eval()
                outputs = shape_of(model, self.size)
        except Exception as error:  # a builder raises whatever it likes on settings that nobody checked
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise CheckpointError(
                f"{where}: expected settings of {self.family!r}, got others ({reason}); export it again"
            ) from None
        if outputs._fields != self.outputs:
            raise CheckpointError(
                f"{where}: expected outputs {', '.join(outputs._fields)}, got {', '.join(self.outputs)}; "
                "export it again with this version"
            )
        return model, outputs


def shape_of(model: Segmenter, size: tuple[int, int]) -> Any:
    """The outputs of a model on the meta device, as named by the family.

    Raises:
        InputError: they are not a named tuple of tensors, so that a graph cannot give them.
    """
    import torch

    with torch.inference_mode():
        outputs = model(torch.empty(1, 3, *size, device="meta"))
    named = isinstance(outputs, tuple) and hasattr(outputs, "_fields")
    if not named or not all(isinstance(part, torch.Tensor) for part in outputs):
        raise InputError(
            f"export: expected a family whose forward gives named tensors, got {type(outputs).__name__} of "
            f"{model.family!r}; this family runs in PyTorch only"
        )
    return outputs


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over the names and values of a model's tensors, in order of name."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
