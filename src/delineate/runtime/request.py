"""What is asked of an export, checked before a model is loaded. No PyTorch here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from delineate.core.errors import InputError, MissingDependencyError

from .targets import ENDINGS

PRECISIONS = ("fp32", "fp16", "int8")
DEFAULT = "onnx"
NEEDS = {
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "export",
    "openvino": "export",
    "nncf": "int8",
}
"""What an export imports, and the extra that brings it."""


def kind_of(target: Path, to: str | None) -> str:
    """Of a file to write, the target it is for.

    Raises:
        InputError: no such target, or a file name that ends otherwise.
    """
    by_ending = {ending: kind for kind, ending in reversed(ENDINGS.items())}
    kind = to or by_ending.get(target.suffix.lower())
    if kind not in ENDINGS:
        names = ", ".join(repr(name) for name in list(ENDINGS)[:-1]) + f" or {list(ENDINGS)[-1]!r}"
        raise InputError(f"export, to: expected {names}, got {to or target.name!r}; choose one")
    if target.suffix.lower() != ENDINGS[kind]:
        raise InputError(
            f"export: expected a file name that ends in {ENDINGS[kind]} for {kind}, got {target.name!r}; "
            "rename it"
        )
    return kind


def check_request(
    kind: str,
    precision: str,
    *,
    calibrated: bool,
    dynamic: bool | None,
    max_det: int | None = None,
    batches: bool = False,
) -> None:
    """Refuse what does not go together.

    Args:
        kind: of :data:`.targets.ENDINGS`.
        precision: of :data:`PRECISIONS`.
        calibrated: whether there are images to calibrate on.
        dynamic: any size asked for; None: as the model allows.
        max_det: so many objects asked for.
        batches: any number of images at once asked for.

    Raises:
        InputError: it does not.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"export, precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}; choose one"
        )
    if precision != "fp32" and kind == "torch.export":
        raise InputError(
            f"export, precision: expected fp32 for torch.export, got {precision}; choose onnx or openvino"
        )
    if precision == "int8" and not calibrated:
        raise InputError(
            "export, int8: expected images to calibrate on, got none; give some of the kind it will see "
            "(--calibrate FOLDER)"
        )
    if kind == "tensorrt-ready" and (dynamic or batches):
        raise InputError(
            "export, tensorrt-ready: expected one image of one size, got dynamic sizes or batches; leave "
            "--dynamic and --batches out, and choose a --size"
        )
    if max_det is not None and not 1 <= max_det <= 100_000:
        raise InputError(f"export, max_det: expected 1 to 100000, got {max_det}; try 100")


def require(kind: str, precision: str) -> None:
    """Refuse early where a package is missing that the export will need.

    Raises:
        MissingDependencyError: one is; the message names the extra to install.
    """
    if kind == "torch.export":
        return
    wanted = ["onnx", "onnxscript"]
    wanted += ["openvino"] if kind == "openvino" else []
    if precision == "int8":
        wanted.append("nncf" if kind == "openvino" else "onnxruntime")
    for package in wanted:
        if find_spec(package) is None:
            raise MissingDependencyError(
                f"export, {kind} in {precision}: expected {package}, got none; "
                f"pip install 'delineate[{NEEDS[package]}]'"
            )
