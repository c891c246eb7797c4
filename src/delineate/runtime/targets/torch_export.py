"""PyTorch's own graph: ``torch.export``, kept in a .pt2 archive.

Reading such a file is not safe: PyTorch evaluates expressions and unpickles objects that the archive names.
So :func:`delineate.load` refuses it; :class:`TorchExport` is for files that the caller wrote.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from delineate.core.errors import CheckpointError

from ..manifest import KEY
from .onnx import quiet

if TYPE_CHECKING:
    from ..graphs import Graph


def trace(
    graph: Graph, size: tuple[int, int], dynamic: bool, divisor: int, batches: bool = False
) -> torch.export.ExportedProgram:
    """The graph as operations alone.

    Args:
        graph: what to trace.
        size: (height, width) of the input tensor.
        dynamic: any number of images, of any size that is a multiple of ``divisor``.
        divisor: of the input's sides.
        batches: any number of images of that size.
    """
    example = graph.example(size, batch=2 if dynamic or batches else 1)
    shapes = graph.dynamic_shapes(divisor if dynamic else None) if dynamic or batches else None
    with quiet(), torch.no_grad():
        program = torch.export.export(graph, example, dynamic_shapes=shapes, strict=False)
    program.example_inputs = None  # a .pt2 would keep them: megabytes of noise
    return program


def write(program: torch.export.ExportedProgram, path: Path, manifest: str) -> None:
    """The .pt2 archive, weights and manifest inside."""
    with quiet():
        torch.export.save(program, str(path), extra_files={KEY: manifest})


class TorchExport:
    """A .pt2 file that the caller trusts, run by PyTorch on the CPU.

    Args:
        path: written by :func:`write`. **Loading runs what the file says**: never one of others.
        threads: of the processor, for all of PyTorch; None leaves them.

    Attributes:
        manifest: the JSON text in the file, empty where there is none.

    Raises:
        CheckpointError: damaged.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        held: dict[str, Any] = {KEY: ""}
        try:
            with quiet():
                self.module = torch.export.load(str(path), extra_files=held).module()
        except Exception as error:  # the reader raises whatever it likes
            reason = " ".join(str(error).split())[:160]
            raise CheckpointError(
                f"{path}: expected a graph that runs here, got another ({reason}); export it again"
            ) from None
        self.manifest = str(held[KEY])

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs, in the graph's order."""
        with torch.inference_mode():
            outputs = self.module(*(torch.from_numpy(np.ascontiguousarray(array)) for array in inputs))
        return [output.numpy() for output in outputs]
