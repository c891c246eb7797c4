"""A model as one file that runs without PyTorch's network: ONNX, or OpenVINO's .xml with its .bin."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError, MissingDependencyError
from delineate.models.base import Segmenter
from delineate.models.zoo import build

from .manifest import KEY, MOST, Manifest, shape_of, weights_hash

KINDS = {"onnx": ".onnx", "openvino": ".xml"}


def export(
    model: Segmenter,
    path: str | Path,
    to: str | None = None,
    size: int | tuple[int, int] | None = None,
    *,
    dynamic: bool = False,
    licence: str = "",
) -> Path:
    """Write a model as a graph for ONNX Runtime or OpenVINO, with all that its results need.

    Norms are folded; weights are float32. The file holds family, settings, class names, input, licence and
    the weights' hash, so :class:`delineate.runtime.session.Session` needs nothing else.

    Args:
        model: of a family whose forward gives named tensors.
        path: the file to make or replace, ``.onnx`` or ``.xml`` (beside which ``.bin`` holds the weights).
        to: "onnx" or "openvino"; default by the path's ending.
        size: (height, width) of the input tensor in pixels, or one number for both; multiples of the
            model's divisor. Default: the largest that the model's own input asks for. Smaller images are
            padded to it; a smaller size than the model's own means smaller images.
        dynamic: any number of images of any size. Slower than a fixed size on some processors.
        licence: SPDX name of the weights' licence.

    Returns:
        The path written.

    Raises:
        InputError: a family that cannot be exported, or a size that does not fit.
        MissingDependencyError: the extra ``export`` is not installed.
    """
    target = Path(path)
    kind = _kind(target, to)
    frame = _size(model.input, size)
    spec = _fitted(model.input, frame, dynamic)
    names = _output_names(model, frame)
    manifest = Manifest(
        model.family, model.settings, model.classes, spec, frame, dynamic, names, licence, weights_hash(model)
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        part = Path(folder) / f"{target.stem}.onnx"
        _write_onnx(model, part, manifest)
        files = [part] if kind == "onnx" else _to_openvino(part, manifest)
        for file in reversed(files):  # the file that people name last, when all it needs is there
            file.replace(target.with_suffix(file.suffix))
    return target


def _kind(target: Path, to: str | None) -> str:
    by_ending = {ending: kind for kind, ending in KINDS.items()}
    kind = to or by_ending.get(target.suffix.lower())
    if kind not in KINDS:
        raise InputError(f"export, to: expected 'onnx' or 'openvino', got {to or target.name!r}; choose one")
    if target.suffix.lower() != KINDS[kind]:
        raise InputError(
            f"export: expected a file name that ends in {KINDS[kind]} for {kind}, got {target.name!r}; "
            "rename it"
        )
    return kind


def _size(spec: InputSpec, size: int | tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) of the input tensor, checked."""
    if size is None:
        side = spec.stretch or spec.longest_edge or spec.shortest_edge or spec.tile
        if side is None:
            raise InputError(
                "export, size: expected a size, since the model takes images as they are; give one"
            )
        size = -(-side // spec.divisor) * spec.divisor
    height, width = (size, size) if isinstance(size, int) else size
    if not all(0 < side <= MOST and side % spec.divisor == 0 for side in (height, width)):
        raise InputError(
            f"export, size: expected multiples of {spec.divisor} up to {MOST}, got {height} x {width}; "
            "round them"
        )
    if spec.stretch is not None and height != width:
        raise InputError(
            f"export, size: expected a square for this model, got {height} x {width}; use one side"
        )
    return height, width


def _fitted(spec: InputSpec, size: tuple[int, int], dynamic: bool) -> InputSpec:
    """The input of the exported model: images that fit into its tensor."""
    if dynamic:
        return spec
    low, high = min(size), max(size)
    if spec.stretch is not None:
        return replace(spec, stretch=low)
    if spec.shortest_edge is None:  # no resizing: larger images in tiles
        return replace(spec, tile=min(spec.tile or low, low))
    longest = min(spec.longest_edge or high, high)
    return replace(spec, shortest_edge=min(spec.shortest_edge, low), longest_edge=longest)


def _output_names(model: Segmenter, size: tuple[int, int]) -> tuple[str, ...]:
    """What the family calls its outputs; refuses families that cannot be exported."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bare = build(model.family, **{**model.settings, "classes": model.classes, "input": model.input})
            return tuple(shape_of(bare.eval(), size)._fields)
    except InputError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError) as error:
        raise _refusal(model, error) from None


def _refusal(model: Segmenter, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return InputError(
        f"export: expected a family whose network is one fixed graph, got {model.family!r} ({reason}); "
        "it runs in PyTorch only"
    )


def _write_onnx(model: Segmenter, path: Path, manifest: Manifest) -> None:
    """The network as ONNX, with the manifest in its metadata."""
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError:
        raise MissingDependencyError(
            "export: expected onnx and onnxscript, got none; pip install 'delineate[export]'"
        ) from None
    network = model.prepared().cpu().to(memory_format=torch.contiguous_format)
    example = torch.zeros(2 if manifest.dynamic else 1, 3, *manifest.size)
    shapes: Any = None
    if manifest.dynamic:
        step = manifest.input.divisor
        rows, columns = (
            step * torch.export.Dim(name, min=1, max=MOST // step) for name in ("rows", "columns")
        )
        shapes = ({0: torch.export.Dim("batch", min=1, max=1024), 2: rows, 3: columns},)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                input_names=["images"],
                output_names=list(manifest.outputs),
                dynamic_shapes=shapes,
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever it likes
        raise _refusal(model, error) from None
    assert program is not None
    program.save(str(path), external_data=False)
    graph = onnx.load(str(path))
    entry = graph.metadata_props.add()
    entry.key, entry.value = KEY, manifest.to_json()
    onnx.save(graph, str(path))


def _to_openvino(graph: Path, manifest: Manifest) -> list[Path]:
    """The .xml and the .bin of an ONNX file, beside it."""
    try:
        import openvino
    except ImportError:
        raise MissingDependencyError(
            "export: expected openvino, got none; pip install 'delineate[export]'"
        ) from None
    model = openvino.convert_model(str(graph))
    model.set_rt_info(manifest.to_json(), KEY)
    path = graph.with_suffix(".xml")
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return [path, path.with_suffix(".bin")]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks; what matters comes as an exception."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
