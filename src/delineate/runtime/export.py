"""A model as one file that runs without its Python code: ONNX, OpenVINO's .xml with its .bin, or .pt2."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from delineate.core.errors import DelineateError, InputError
from delineate.core.input_spec import InputSpec
from delineate.models.base import Segmenter

from .beside import describe
from .calibration import Feeds
from .graphs import Graph, graph_of
from .manifest import MOST, Manifest, weights_hash
from .request import check_request, kind_of
from .targets import ENDINGS

if TYPE_CHECKING:
    import torch


def export(
    model: Segmenter,
    path: str | Path,
    to: str | None = None,
    size: int | tuple[int, int] | None = None,
    *,
    dynamic: bool | None = False,
    licence: str = "",
    name: str = "",
    precision: str = "fp32",
    calibration: Sequence[NDArray[Any]] = (),
    max_det: int | None = None,
    batches: bool = False,
    progress: Callable[[], object] | None = None,
    stage: Callable[[str], object] | None = None,
) -> Path:
    """Write a model as one graph, with all that its results need.

    Norms are folded; objects are chosen and their masks made inside the graph, a fixed number for each image.
    The file holds class names, input, licence and the weights' hash, so that
    :class:`delineate.runtime.session.Session` needs nothing else. The same stands in a JSON file
    beside it, see :mod:`delineate.runtime.beside`.

    Args:
        model: of any family.
        path: the file to make or replace, ``.onnx``, ``.xml`` (beside which ``.bin`` holds the weights) or
            ``.pt2``.
        to: "onnx", "openvino", "torch.export" or "tensorrt-ready" (ONNX without what TensorRT lacks or gets
            wrong); default by the path's ending.
        size: (height, width) of the input tensor in pixels, or one number for both; multiples of the
            model's divisor. Default: the largest that the model's own input asks for. Smaller images are
            padded to it; a smaller size than the model's own means smaller images.
        dynamic: any number of images of any size. Slower than a fixed size on some processors. None: where
            the family's graph can, the model takes images as they are, and no size is given.
        licence: SPDX name of the weights' licence.
        name: what reports call it, such as "nuclei"; default the family.
        precision: "fp32"; "fp16" keeps the weights as float16 and computes in float32; "int8" computes the
            convolutions and products in 8 bits, by what ``calibration`` shows.
        calibration: for "int8": images as the model will see them, (H, W) or (H, W, 3) each; from about 30 on
            more of them change little.
        max_det: at most so many objects an image; default the model's own number.
        batches: any number of images of the one size at once, in place of one.
        progress: called after each image of the calibration.
        stage: told what begins: a large model's graph takes most of a minute.

    Returns:
        The path written.

    Raises:
        InputError: a family, size or precision that cannot be exported so; for "tensorrt-ready" a graph that
            TensorRT would not run right.
        MissingDependencyError: the extra ``export`` (for "int8" into OpenVINO: ``int8``) is not installed.
    """
    target = Path(path)
    kind = kind_of(target, to)
    check_request(
        kind, precision, calibrated=len(calibration) > 0, dynamic=dynamic, max_det=max_det, batches=batches
    )
    frame = _size(model.input, size)
    graph = graph_of(model, max_det=max_det, tensorrt_ready=kind == "tensorrt-ready")
    if dynamic is None:
        dynamic = graph.dynamic and size is None and _as_they_are(model.input) and kind != "tensorrt-ready"
    if dynamic and not graph.dynamic:
        raise InputError(
            f"export, dynamic: expected a family whose graph takes any size, got {model.family!r}; "
            "leave --dynamic out and choose a --size; --batches takes any number of images of it"
        )
    manifest = Manifest(
        model.family,
        model.settings,
        model.classes,
        _fitted(model.input, frame, dynamic),
        frame,
        dynamic,
        graph.outputs,
        licence,
        weights_hash(model),
        inputs=graph.inputs,
        result=graph.result,
        context=model.context if dynamic else None,
        precision=precision,
        name=name,
        batches=batches and not dynamic,
    )
    feeds = Feeds(calibration, manifest, progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        files = _write(kind, graph, Path(folder) / target.stem, manifest, feeds, stage or (lambda _: None))
        told = describe(files, manifest, target)
        for file in (told, *reversed(files)):  # the file that people name last, when all it needs is there
            file.replace(target.parent / file.name)
    return target


def takes_any_size(model: Segmenter) -> bool:
    """Whether one graph of the model takes images of any size, as the model itself does."""
    return _as_they_are(model.input) and graph_of(model).dynamic


def _as_they_are(spec: InputSpec) -> bool:
    return spec.shortest_edge is None and spec.stretch is None


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
    within = None if low == high else size  # pictures on end fit into a graph that lies, and the reverse
    return replace(spec, shortest_edge=min(spec.shortest_edge, low), longest_edge=longest, within=within)


def _write(
    kind: str, graph: Graph, stem: Path, manifest: Manifest, feeds: Feeds, stage: Callable[[str], object]
) -> list[Path]:
    """The files of a target, the one that people name first."""
    from .targets import onnx, openvino, tensorrt, torch_export

    if kind != "torch.export":
        onnx.require()
    stage("tracing the network")
    program = _traced(graph, manifest)
    if kind == "torch.export":
        path = stem.with_name(stem.name + ENDINGS[kind])
        torch_export.write(program, path, manifest.to_json())
        return [path]
    path = stem.with_name(stem.name + ".onnx")
    stage("writing the graph as ONNX")
    with _told(manifest.family):
        onnx.write(program, path, manifest.inputs, manifest.outputs)
    if kind == "tensorrt-ready":
        tensorrt.check(path)
    if kind == "openvino":
        stage("converting it for OpenVINO")
        network = openvino.convert(path)
        if manifest.precision == "int8":
            stage("calibrating")
            from .int8 import nodes_of, quantised, rule_of

            network = quantised(network, feeds, nodes_of(path, rule_of(graph.model).exact))
        half = manifest.precision == "fp16"
        return openvino.write(network, stem.with_name(stem.name + ".xml"), manifest.to_json(), half)
    if manifest.precision == "fp16":
        from .half import halve

        halve(path)
    elif manifest.precision == "int8":
        stage("calibrating")
        from .int8 import nodes_of, quantise, rule_of

        quantise(path, feeds, nodes_of(path, rule_of(graph.model).exact))
    onnx.label(path, manifest.to_json())
    return [path]


def _traced(graph: Graph, manifest: Manifest) -> torch.export.ExportedProgram:
    from .targets import torch_export

    with _told(manifest.family):
        return torch_export.trace(
            graph, manifest.size, manifest.dynamic, manifest.input.divisor, manifest.batches
        )


@contextlib.contextmanager
def _told(family: str) -> Iterator[None]:
    """Whatever an exporter raises, as one line."""
    try:
        yield
    except DelineateError:
        raise
    except Exception as error:  # exporters raise whatever they like
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(
            f"export: expected a family whose network is one fixed graph, got {family!r} ({reason}); "
            "it runs in PyTorch only"
        ) from None
