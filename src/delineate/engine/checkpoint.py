"""Weights files: one safetensors file that knows which model it is, checked before it is believed.

The header's JSON holds the builder's name and settings, the class names, the input, the licence and the
training record. PyTorch files (state dicts) are read by ``torch.load(weights_only=True)``, pickles of NumPy
arrays by :mod:`.plain_pickle`; other pickles never.
"""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch
from torch import Tensor, nn

from delineate.core.batch import InputSpec
from delineate.core.errors import CheckpointError
from delineate.core.labels import Labels
from delineate.models.base import Segmenter

from .atomic import write_atomically
from .plain_pickle import read_arrays
from .safetensors_header import check_header

FORMAT = 1  # version of the header's JSON
KEY = "delineate"  # where the header's metadata holds it
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before 1.6 begins so
_TENSOR_LIMIT = 100_000  # tensors in one file


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
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
            header, weights = _read(path, file, start, size)
    except OSError as error:
        raise CheckpointError(
            f"{path}: expected a weights file, got {error.strerror or error}; check the path"
        ) from None
    check_finite(weights, str(path))
    return Checkpoint(weights, header, path)


def _read(path: Path, file: IO[bytes], start: bytes, size: int) -> tuple[Header | None, dict[str, Tensor]]:
    """By the file's first bytes, which do not lie as its name may."""
    if not start:
        raise CheckpointError(f"{path}: expected weights, got an empty file; download it again")
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path}: expected weights, got a Git LFS pointer, not the weights themselves; run `git lfs pull`"
        )
    if start.startswith(b"PK\x03\x04"):
        _check_archive(path, size)
        return None, _read_torch(path)
    if start.startswith(_LEGACY_TORCH):
        return None, _read_torch(path)
    if start.startswith(b"\x93NUMPY"):
        raise CheckpointError(f"{path}: expected a checkpoint, got a NumPy array; save it as safetensors")
    if start.startswith(b"\x80") and start[8:9] != b"{":  # a safetensors header may be 128 bytes long
        return None, _state_dict(path, read_arrays(path))
    if path.suffix.lower() == ".onnx":
        raise CheckpointError(
            f"{path}: expected a checkpoint, got an ONNX graph; give the .safetensors it came from"
        )
    metadata = check_header(file, size, str(path))
    try:
        weights = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"{path}: expected safetensors, got a damaged file ({error}); download it again"
        ) from None
    header = Header.from_json(metadata[KEY], str(path)) if KEY in metadata else None
    return header, weights


def _check_archive(path: Path, size: int) -> None:
    """A ZIP archive as torch.save writes it: a pickle, and nothing compressed that could swell.

    Raises:
        CheckpointError: damaged, or another archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{path}: expected a PyTorch file, got a damaged one ({error}); download it again"
        ) from None
    if not any(entry.filename.endswith("/data.pkl") for entry in entries):
        raise CheckpointError(
            f"{path}: expected a PyTorch file, got another ZIP archive; unpack it, name the weights in it"
        )
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(
            f"{path}: expected a PyTorch file, got a compressed archive; save it anew with torch.save"
        )


def read_torch(path: Path) -> Any:
    """Tensors and plain values from a PyTorch file, by ``weights_only=True``.

    Raises:
        CheckpointError: damaged, or holding anything that would run code.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files use deprecated storage classes
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: expected tensors only, got a pickle that would run code, or a damaged one; "
            "nothing was run, save it as safetensors"
        ) from None
    except Exception as error:  # the unpickler raises whatever it likes on damaged data
        reason = str(error).strip().split("\n")[0][:120]
        raise CheckpointError(
            f"{path}: expected a PyTorch file, got a damaged one ({reason}); download it again"
        ) from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    """A state dict, plain or under one of the usual names."""
    return _state_dict(path, read_torch(path))


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    """Tensors by name, which may lie under one of the usual names."""
    for name in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content or len(content) > _TENSOR_LIMIT:
        raise CheckpointError(
            f"{path}: expected a state dict, got {type(content).__name__}; save model.state_dict()"
        )
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        raise CheckpointError(f"{path}: expected tensors by name, got other values; save model.state_dict()")
    return dict(content)


def check_finite(weights: dict[str, Tensor], where: str) -> None:
    """Raises :class:`CheckpointError` where a weight is NaN or infinite."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"{where}: expected finite weights, got NaN or infinity in {name!r}; use an earlier one"
            )


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
