"""OpenVINO's .xml with its .bin, converted from ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from delineate.core.errors import MissingDependencyError

from ..manifest import KEY


def convert(graph: Path) -> Any:
    """OpenVINO's model of an ONNX file.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise MissingDependencyError(
            "export: expected openvino, got none; pip install 'delineate[export]'"
        ) from None
    return openvino.convert_model(str(graph))


def write(model: Any, path: Path, manifest: str, half: bool = False) -> list[Path]:
    """The .xml and the .bin.

    Args:
        model: of :func:`convert`, quantised or not.
        path: the .xml to make.
        manifest: its text, kept in the model's runtime info.
        half: keep weights as float16; sums stay float32.

    Returns:
        Both files.
    """
    import openvino

    model.set_rt_info(manifest, KEY)
    openvino.save_model(model, str(path), compress_to_fp16=half)
    return [path, path.with_suffix(".bin")]
