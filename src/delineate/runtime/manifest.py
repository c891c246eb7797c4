"""What an exported model says of itself, kept inside the file: enough to turn its outputs into objects."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from delineate.core.batch import InputSpec
from delineate.core.errors import CheckpointError, InputError
from delineate.core.labels import Labels
from delineate.models.base import Segmenter
from delineate.models.zoo import build

FORMAT = 1  # version of the manifest's JSON
KEY = "delineate"  # where an ONNX file's metadata and an OpenVINO model's runtime info hold it
MOST = 8192  # longest side of an exported input, in pixels


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
        outputs: the names of its outputs, in the order of the family's own.
        licence: SPDX name of the weights' licence; empty where unknown.
        weights: SHA-256 of the weights it was made of, see :func:`weights_hash`.
        format: version of this manifest.
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

    def to_json(self) -> str:
        """One JSON object."""
        plain = {**asdict(self), "classes": self.classes.to_dict(), "input": self.input.to_dict()}
        return json.dumps(plain, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """The inverse of :meth:`to_json`.

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
            )
        except CheckpointError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise CheckpointError(
                f"{where}: expected a model exported by delineate, got another or a damaged one "
                f"({type(error).__name__} {error}); export it again"
            ) from None

    def skeleton(self, where: str) -> tuple[Segmenter, Any]:
        """The family without weights, and its outputs for one image: names and shapes, no numbers.

        Raises:
            CheckpointError: no such family, or settings, outputs or sizes that are not its own.
        """
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
    with torch.inference_mode():
        outputs = model(torch.empty(1, 3, *size, device="meta"))
    named = isinstance(outputs, tuple) and hasattr(outputs, "_fields")
    if not named or not all(isinstance(part, Tensor) for part in outputs):
        raise InputError(
            f"export: expected a family whose forward gives named tensors, got {type(outputs).__name__} of "
            f"{model.family!r}; this family runs in PyTorch only"
        )
    return outputs


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over the names and values of a model's tensors, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
