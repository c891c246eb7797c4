"""A manifest beside an exported file: what it is, for people and for other programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .manifest import Manifest

MAKERS = ("delineate", "torch", "onnx", "onnxscript", "openvino", "nncf", "onnxruntime")


def describe(files: Sequence[Path], manifest: Manifest, target: Path) -> Path:
    """Write ``NAME.json`` beside the files of an export.

    It holds what the file says of itself (family, class names, input and normalisation, size, outputs,
    licence, the weights' hash), the SHA-256 and size of each file, and the versions of what made them.

    Args:
        files: of the export, in one folder.
        manifest: what they say of themselves.
        target: the name that the first of them will have.

    Returns:
        The JSON file, in the same folder.
    """
    plain: dict[str, Any] = json.loads(manifest.to_json())
    plain["files"] = {file.name: {"bytes": file.stat().st_size, "sha256": sha256_of(file)} for file in files}
    plain["made_with"] = {name: found for name in MAKERS if (found := _version(name))}
    path = files[0].with_name(f"{target.name}.json")
    path.write_text(json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def sha256_of(path: Path) -> str:
    """64 hexadecimal digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(path: Path) -> list[Path]:
    """All files that an export to ``path`` has written."""
    beside = [path.with_name(f"{path.name}.json")]
    return [path, *([path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else []), *beside]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
