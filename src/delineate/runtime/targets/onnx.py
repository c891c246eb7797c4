"""ONNX, by torch's own exporter."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from delineate.core.errors import MissingDependencyError

from ..manifest import KEY


def require() -> None:
    """Refuse early where the exporter's packages are not installed.

    Raises:
        MissingDependencyError: onnx or onnxscript is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError:
        raise MissingDependencyError(
            "export: expected onnx and onnxscript, got none; pip install 'delineate[export]'"
        ) from None


def write(
    program: torch.export.ExportedProgram, path: Path, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    """A traced graph as an ONNX file, weights inside, float32.

    Args:
        program: of :func:`delineate.runtime.targets.torch_export.trace`.
        path: the file to make.
        inputs: their names.
        outputs: their names.
    """
    require()
    with quiet():
        written = torch.onnx.export(
            program, dynamo=True, input_names=list(inputs), output_names=list(outputs), verbose=False
        )
    assert written is not None
    written.save(str(path), external_data=False)


def label(path: Path, manifest: str) -> None:
    """Put the manifest into a file's metadata, in place of what stands there."""
    import onnx

    graph = onnx.load(str(path))
    kept = [entry for entry in graph.metadata_props if entry.key != KEY]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
    entry = graph.metadata_props.add()
    entry.key, entry.value = KEY, manifest
    onnx.save(graph, str(path))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters talk; what matters comes as an exception."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "nncf", "root")
    loggers = [logging.getLogger(name) for name in names]
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
