"""Tensors by name from any file of weights, by its first bytes; nothing in a file is ever run.

Safetensors, PyTorch files (state dicts, read by ``torch.load(weights_only=True)``), and pickles of NumPy
arrays (:mod:`.plain_pickle`); other pickles never.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch
from torch import Tensor

from delineate.core.errors import CheckpointError

from .plain_pickle import read_arrays
from .safetensors_header import check_header

_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before 1.6 begins so
_TENSOR_LIMIT = 100_000  # tensors in one file


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A file's tensors, on the CPU, and the texts of its header; none but safetensors has any.

    Raises:
        CheckpointError: no such file, a Git LFS pointer, another kind of file, a damaged one, one that would
            run code, or weights that are not finite.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            weights, header = _read(path, file, file.read(64), size)
    except OSError as error:
        raise CheckpointError(
            f"{path}: expected a weights file, got {error.strerror or error}; check the path"
        ) from None
    check_finite(weights, str(path))
    return weights, header


def _read(path: Path, file: IO[bytes], start: bytes, size: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    """By the file's first bytes, which do not lie as its name may."""
    if not start:
        raise CheckpointError(f"{path}: expected weights, got an empty file; download it again")
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path}: expected weights, got a Git LFS pointer, not the weights themselves; run `git lfs pull`"
        )
    if start.startswith(b"PK\x03\x04"):
        _check_archive(path, size)
        return _state_dict(path, read_torch(path)), {}
    if start.startswith(_LEGACY_TORCH):
        return _state_dict(path, read_torch(path)), {}
    if start.startswith(b"\x93NUMPY"):
        raise CheckpointError(f"{path}: expected a checkpoint, got a NumPy array; save it as safetensors")
    if start.startswith(b"\x80") and start[8:9] != b"{":  # a safetensors header may be 128 bytes long
        return _state_dict(path, read_arrays(path)), {}
    if path.suffix.lower() == ".onnx":
        raise CheckpointError(
            f"{path}: expected a checkpoint, got an ONNX graph; give the .safetensors it came from"
        )
    metadata = check_header(file, size, str(path))
    try:
        return safetensors.torch.load_file(path), metadata
    except (safetensors.SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"{path}: expected safetensors, got a damaged file ({error}); download it again"
        ) from None


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
