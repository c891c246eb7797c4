"""What computes a graph: ONNX Runtime or OpenVINO, and PyTorch for files that the caller trusts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from delineate.core.errors import CheckpointError, MissingDependencyError

from .manifest import KEY

INSTALL = "pip install 'delineate[runtime]', or that package alone"


class Runner(Protocol):
    """A loaded graph.

    Attributes:
        manifest: the JSON text in the file, empty where there is none.
    """

    manifest: str

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """The inputs in the graph's order -> its outputs, which the next call may overwrite."""
        ...


class OnnxRuntime:
    """Run by ONNX Runtime on the CPU."""

    def __init__(self, path: Path, threads: int | None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingDependencyError(
                f"{path}: expected onnxruntime to run it, got none; {INSTALL}"
            ) from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            self.manifest = self.session.get_modelmeta().custom_metadata_map.get(KEY, "")
        except Exception as error:  # the runtime has exceptions of its own, without a common base
            raise damaged(path, error) from None
        self.names = [given.name for given in self.session.get_inputs()]

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs, in arrays of their own."""
        outputs: list[NDArray[Any]] = self.session.run(None, dict(zip(self.names, inputs, strict=True)))
        return outputs


class OpenVino:
    """Run by OpenVINO on the CPU, in float32 throughout (its own default may be bfloat16)."""

    def __init__(self, path: Path, threads: int | None) -> None:
        try:
            import openvino
        except ImportError:
            raise MissingDependencyError(
                f"{path}: expected openvino to run it, got none; {INSTALL}"
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
            raise damaged(path, error) from None
        if graph.has_rt_info(KEY):
            self.manifest = str(graph.get_rt_info(KEY).value)
        else:  # read from ONNX, whose metadata OpenVINO keeps elsewhere
            places = (["framework", KEY], ["onnx_metadata", KEY], ["metadata", KEY])
            held = next((p for p in places if graph.has_rt_info(p)), None)
            self.manifest = str(graph.get_rt_info(held).value) if held else ""
        self.local = threading.local()

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs, in memory that this thread's next call overwrites."""
        if not hasattr(self.local, "request"):
            self.local.request = self.compiled.create_infer_request()
        results = self.local.request.infer(list(inputs), share_inputs=True, share_outputs=True)
        return [results[i] for i in range(len(results))]


def _torch_export(path: Path, threads: int | None) -> Runner:
    from .targets.torch_export import TorchExport

    return TorchExport(path, threads)


RUNTIMES: dict[str, Callable[[Path, int | None], Runner]] = {
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
    "torch.export": _torch_export,
}


def damaged(path: Path, error: Exception) -> CheckpointError:
    """What to raise for a file that the runtime does not take."""
    reason = " ".join(str(error).split())[:160]
    return CheckpointError(
        f"{path}: expected a graph that runs here, got another ({reason}); export it again"
    )
