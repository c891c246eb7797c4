"""ONNX, by torch's own exporter."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from delineate.core.errors import InputError, MissingDependencyError

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

    Raises:
        InputError: the exporter made a graph that is no valid one.
    """
    require()
    with quiet():
        written = torch.onnx.export(
            program,
            dynamo=True,
            input_names=list(inputs),
            output_names=list(outputs),
            verbose=False,
            optimize=False,
        )
        assert written is not None
        _tidy(written.model)
    written.save(str(path), external_data=False)
    _check(path)


def _tidy(model: Any) -> None:
    """Compute what is constant and drop what nobody reads, in place.

    The exporter's own ``optimize`` also looks for some fifty patterns, which runtimes do themselves while
    loading: of a whole Mask2Former that took 12 of 31 seconds for 30 of 1,709 nodes, and (onnxscript 0.7.2) a
    value clipped twice lost the limits of one.
    """
    import onnx_ir.passes.common as passes
    from onnxscript import optimizer

    passes.InlinePass()(model)
    for _ in range(2):  # what the first makes constant
        optimizer.fold_constants(model)
        passes.RemoveUnusedNodesPass()(model)
    for tidy in (
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        passes.RemoveUnusedOpsetsPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    ):
        tidy(model)


def _check(path: Path) -> None:
    """Refuse a file that is no ONNX.

    Raises:
        InputError: a node of unknown inputs, types or attributes that do not fit.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"export: expected a valid ONNX graph of PyTorch's exporter, got another ({reason}); "
            "use --to torch.export, or another version of torch and onnxscript"
        ) from None


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
