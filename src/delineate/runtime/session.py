"""An exported model as a :class:`Segmenter`: the network by ONNX Runtime or OpenVINO, the rest borrowed."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from delineate.core.batch import Batch
from delineate.core.errors import CheckpointError, InputError, MissingDependencyError
from delineate.core.instances import Instances
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.models.base import Segmenter

from .manifest import KEY, Manifest

ENDINGS = (".onnx", ".xml")


class Runner(ABC):
    """A loaded graph.

    Attributes:
        manifest: the JSON text in the file, empty where there is none.
    """

    manifest: str

    @abstractmethod
    def __init__(self, path: Path, threads: int | None) -> None: ...

    @abstractmethod
    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[Any]]:
        """(B, 3, H, W) -> the outputs, in the graph's order; they may be overwritten by the next call."""


class OnnxRuntime(Runner):
    """Run by ONNX Runtime on the CPU."""

    def __init__(self, path: Path, threads: int | None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingDependencyError(
                f"{path}: expected onnxruntime to run it, got none; pip install 'delineate[export]'"
            ) from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime has exceptions of its own, without a common base
            raise _damaged(path, error) from None
        self.manifest = self.session.get_modelmeta().custom_metadata_map.get(KEY, "")
        self.input = self.session.get_inputs()[0].name

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[Any]]:
        """The outputs, in arrays of their own."""
        outputs: list[NDArray[Any]] = self.session.run(None, {self.input: images})
        return outputs


class OpenVino(Runner):
    """Run by OpenVINO on the CPU, in float32 throughout (its own default may be bfloat16)."""

    def __init__(self, path: Path, threads: int | None) -> None:
        try:
            import openvino
        except ImportError:
            raise MissingDependencyError(
                f"{path}: expected openvino to run it, got none; pip install 'delineate[export]'"
            ) from None
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        core = openvino.Core()
        if path.suffix.lower() == ".xml":  # OpenVINO's reader writes about other XML to stderr
            with path.open("rb") as file:
                start = file.read(4096)
            if b"<net " not in start:
                raise CheckpointError(
                    f"{path}: expected a network as OpenVINO writes it, got none; export it again"
                )
        try:
            graph = core.read_model(str(path))
            self.compiled = core.compile_model(graph, "CPU", settings)
        except RuntimeError as error:
            raise _damaged(path, error) from None
        if graph.has_rt_info(KEY):
            self.manifest = str(graph.get_rt_info(KEY).value)
        else:  # read from ONNX, whose metadata OpenVINO keeps elsewhere
            places = (["framework", KEY], ["onnx_metadata", KEY], ["metadata", KEY])
            held = next((p for p in places if graph.has_rt_info(p)), None)
            self.manifest = str(graph.get_rt_info(held).value) if held else ""
        self.local = threading.local()

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[Any]]:
        """The outputs, in memory that this thread's next call overwrites."""
        if not hasattr(self.local, "request"):
            self.local.request = self.compiled.create_infer_request()
        results = self.local.request.infer([images], share_inputs=True, share_outputs=True)
        return [results[i] for i in range(len(results))]


RUNTIMES: dict[str, type[Runner]] = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}


class Session(Segmenter):
    """An exported model that detects: whatever takes a :class:`Segmenter` takes it.

    Args:
        path: an ``.onnx`` or ``.xml`` file written by :func:`delineate.runtime.export.export`.
        runtime: "onnxruntime" or "openvino"; default by the file's ending. OpenVINO runs both.
        threads: of the processor; default as the runtime chooses.

    Attributes:
        manifest: what the file says of itself.

    Raises:
        CheckpointError: no such file, damaged, or not exported by delineate.
        MissingDependencyError: the runtime is not installed.

    Example:
        ``Session("model.onnx").detect(collate([image], session.input))[0]`` gives :class:`Instances`.
    """

    def __init__(self, path: str | Path, runtime: str | None = None, threads: int | None = None) -> None:
        super().__init__()
        path = Path(path)
        chosen = runtime or ("openvino" if path.suffix.lower() == ".xml" else "onnxruntime")
        if chosen not in RUNTIMES or path.suffix.lower() not in ENDINGS:
            raise InputError(
                f"session: expected a .onnx or .xml file and one of {', '.join(RUNTIMES)}, got {path.name!r} "
                f"and {chosen!r}; choose others"
            )
        if not path.is_file():
            raise CheckpointError(f"{path}: expected an exported model, got no such file; check the path")
        self.runner = RUNTIMES[chosen](path, threads)
        self.manifest = Manifest.from_json(self.runner.manifest or "{}", str(path))
        skeleton, shapes = self.manifest.skeleton(str(path))
        self._borrowed = (skeleton,)  # in a tuple: it is no part of this module, it has no weights
        self._outputs = type(shapes)
        self.classes, self.input = self.manifest.classes, self.manifest.input
        self.settings, self.family = self.manifest.settings, self.manifest.family
        self.eval()

    @property
    def tasks(self) -> tuple[str, ...]:
        """As the family's own."""
        return self._borrowed[0].tasks

    @property
    def context(self) -> int | None:
        """As the family's own where it takes windows of any size; None with a fixed size."""
        return self._borrowed[0].context if self.manifest.dynamic else None

    def forward(self, images: Tensor) -> Any:
        """(B, 3, H, W) float32, normalised -> the family's outputs; B is 1 and the size fixed unless dynamic.

        Raises:
            InputError: another size than the graph's.
        """
        return self._run(images, keep=True)

    def _run(self, images: Tensor, keep: bool) -> Any:
        wanted = (1, 3, *self.manifest.size)
        if not self.manifest.dynamic and tuple(images.shape) != wanted:
            raise InputError(
                f"session: expected images of shape {wanted}, got {tuple(images.shape)}; "
                "use detect, which pads, or export with dynamic sizes"
            )
        arrays = self.runner(np.ascontiguousarray(images.detach().cpu().numpy(), dtype=np.float32))
        return self._outputs(*(torch.from_numpy(a.copy() if keep else a) for a in arrays))

    def instances(
        self,
        outputs: Any,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """As the family's own; see :meth:`Segmenter.instances`."""
        limits: dict[str, Any] = {"confidence": confidence, "iou": iou, "max_det": max_det}
        return self._borrowed[0].instances(outputs, batch, **limits)

    def semantic(self, outputs: Any, batch: Batch) -> list[Semantic]:
        """As the family's own; see :meth:`Segmenter.semantic`."""
        return self._borrowed[0].semantic(outputs, batch)

    def panoptic(
        self, outputs: Any, batch: Batch, *, confidence: float | None = None, visible: float | None = None
    ) -> list[Panoptic]:
        """As the family's own; see :meth:`Segmenter.panoptic`."""
        return self._borrowed[0].panoptic(outputs, batch, confidence=confidence, visible=visible)

    def detect(
        self,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """The objects of each image; images smaller than the graph's input are padded.

        Raises:
            InputError: images larger than the graph's input.
        """
        limits: dict[str, Any] = {"confidence": confidence, "iou": iou, "max_det": max_det}
        found: list[Instances] = []
        for part in self.batches(batch):
            with torch.inference_mode():
                found += self.instances(self._run(part.images, keep=False), part, **limits)
        return found

    def batches(self, batch: Batch) -> list[Batch]:
        """A batch as the graph takes it: as it is, or its images one by one, padded to the graph's size.

        Raises:
            InputError: images larger than the graph's input.
        """
        if self.manifest.dynamic:
            return [batch]
        height, width = self.manifest.size
        parts = []
        for i, (size, original) in enumerate(zip(batch.sizes, batch.originals, strict=True)):
            if size[0] > height or size[1] > width:
                raise InputError(
                    f"session: expected images of at most {height} x {width} network pixels, got {size[0]} x "
                    f"{size[1]}; export for a larger size, or with dynamic sizes"
                )
            image = batch.images[i : i + 1, :, :height, :width]
            bottom, right = height - image.shape[2], width - image.shape[3]
            parts.append(
                Batch(F.pad(image, (0, right, 0, bottom)) if bottom or right else image, [size], [original])
            )
        return parts

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: an exported model does not learn.

        Raises:
            InputError: always.
        """
        raise InputError("losses: expected a model with weights, got an exported one; train the checkpoint")

    def prepared(self) -> Self:
        """Itself; it is as fast as it gets."""
        return self


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:160]
    return CheckpointError(
        f"{path}: expected a graph that runs here, got another ({reason}); export it again"
    )
