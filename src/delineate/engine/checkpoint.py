"""Weights files: one safetensors file that knows which model it is, checked before it is believed.

The header's JSON holds the builder's name and settings, the class names, the input, the licence and the
training record. Files of others, which have no such header, are read too; see :mod:`.weights_file`.
"""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from delineate.core.batch import InputSpec
from delineate.core.errors import CheckpointError
from delineate.core.labels import Labels
from delineate.models.base import Segmenter

from .atomic import write_atomically
from .weights_file import check_finite, read_weights

FORMAT = 1  # version of the header's JSON
KEY = "delineate"  # where the header's metadata holds it


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself.

    Attributes:
        family: the builder's name in the zoo.
        settings: the builder's settings, JSON-able.
        classes: the class names.
        input: how images become its input.
        licence: SPDX name of the weights' licence.
        record: the training record: recipe, steps, scores, versions.
        format: version of this header.
    """

    family: str
    settings: dict[str, Any]
    classes: Labels
    input: InputSpec
    licence: str = ""
    record: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """One JSON object."""
        plain = {**asdict(self), "classes": self.classes.to_dict(), "input": self.input.to_dict()}
        return json.dumps(plain, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> Header:
        """The inverse of :meth:`to_json`.

        Raises:
            CheckpointError: not JSON, a missing field, or a newer format.
        """
        try:
            plain = json.loads(text)
            version = int(plain["format"])
            if version > FORMAT:
                raise CheckpointError(
                    f"{where}: expected header format {FORMAT} or older, got {version}; update delineate"
                )
            return cls(
                family=str(plain["family"]),
                settings=dict(plain["settings"]),
                classes=Labels.from_dict(plain["classes"]),
                input=InputSpec.from_dict(plain["input"]),
                licence=str(plain["licence"]),
                record=dict(plain["record"]),
                format=version,
            )
        except CheckpointError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise CheckpointError(
                f"{where}: expected a delineate header, got another ({type(error).__name__} {error}); "
                "the file is damaged, save or download it again"
            ) from None


@dataclass(frozen=True)
class Checkpoint:
    """A read weights file.

    Attributes:
        weights: tensors by name, finite, on the CPU.
        header: what the file says of itself; None where it comes from elsewhere (a bare state dict).
        path: where it was read.
    """

    weights: dict[str, Tensor]
    header: Header | None
    path: Path


def save(path: str | Path, model: Segmenter, *, record: dict[str, Any], licence: str = "") -> Path:
    """A model as one safetensors file, atomically.

    Args:
        path: the file to make or replace.
        model: weights, family, settings, classes and input are taken from it.
        record: the training record, JSON-able.
        licence: SPDX name of the weights' licence.

    Raises:
        CheckpointError: weights that are not finite, or none, as of an exported model.
    """
    target = Path(path)
    weights = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()
    }
    if not weights:
        raise CheckpointError(
            f"{target}: expected a model with weights, got none; keep the checkpoint it was exported from"
        )
    check_finite(weights, str(target))
    header = Header(model.family, model.settings, model.classes, model.input, licence, record)
    content = safetensors.torch.save(weights, metadata={KEY: header.to_json(), "format": "pt"})
    write_atomically(target, lambda file: file.write(content))
    return target


def load(path: str | Path) -> Checkpoint:
    """A weights file, checked before it is believed; nothing in it is ever executed.

    Raises:
        CheckpointError: no such file, a Git LFS pointer, another kind of file, a damaged one, one that would
            run code, or weights that are not finite.
    """
    path = Path(path)
    weights, texts = read_weights(path)
    header = Header.from_json(texts[KEY], str(path)) if KEY in texts else None
    return Checkpoint(weights, header, path)


def fill(model: nn.Module, checkpoint: Checkpoint, *, partial: bool = False) -> list[str]:
    """The checkpoint's weights into a model.

    Args:
        model: receives them.
        checkpoint: where they come from.
        partial: leave out what the model does not have, or has in another shape (other classes), and leave
            the rest of the model as it is.

    Returns:
        Names of the model's tensors that were not filled; empty unless ``partial``.

    Raises:
        CheckpointError: names or shapes that do not match, or, with ``partial``, nothing that matches.
    """
    if not partial:
        check_fit(model, checkpoint)
    own = model.state_dict()
    fitting = {k: v for k, v in checkpoint.weights.items() if k in own and own[k].shape == v.shape}
    if partial and not fitting:
        raise CheckpointError(
            f"{checkpoint.path}: expected weights for this model, got none that fit; name its family"
        )
    model.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def check_fit(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Names and shapes of the model's tensors are those of the checkpoint.

    Raises:
        CheckpointError: they are not.
    """
    own = model.state_dict()
    given = checkpoint.weights
    unfilled = [name for name in own if name not in given or own[name].shape != given[name].shape]
    alien = [name for name in given if name not in own or own[name].shape != given[name].shape]
    if unfilled or alien:
        raise CheckpointError(
            f"{checkpoint.path}: expected this model's {len(own)} tensors, got {len(own) - len(unfilled)} "
            f"that fit (unfilled: {_some(unfilled)}; not fitting: {_some(alien)}); "
            "it was made for another model"
        )


def restore(path: str | Path, name: str | None = None) -> Segmenter:
    """The model that a checkpoint describes, with its weights.

    Args:
        path: a file written by :func:`save`.
        name: build this name of the zoo instead of the one in the header.

    Raises:
        CheckpointError: unreadable, without a header, or made for another model.
    """
    from delineate.models.zoo import build

    checkpoint = load(path)
    header = checkpoint.header
    if header is None:
        raise CheckpointError(
            f"{path}: expected a checkpoint with a delineate header, got bare weights; name the model"
        )
    settings = {**header.settings, "classes": header.classes, "input": header.input}
    try:
        with suppress(NotImplementedError), torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on what the other device cannot do
            check_fit(build(name or header.family, **settings), checkpoint)  # before memory is taken
        model = build(name or header.family, **settings)
    except CheckpointError:
        raise
    except Exception as error:  # a builder raises whatever it likes on settings that nobody checked
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(
            f"{path}: expected settings of {name or header.family!r}, got others ({reason}); name the model, "
            "or save the weights anew"
        ) from None
    fill(model, checkpoint)
    return model.eval()


def _some(names: list[str]) -> str:
    return (
        "none"
        if not names
        else ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    )
