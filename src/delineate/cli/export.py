"""`delineate export`: a model as a file for ONNX Runtime, OpenVINO, TensorRT or PyTorch's own graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from .options import Quiet

EPILOG = """Examples:

delineate export nuclei

delineate export nuclei nuclei.xml --verify my-dataset

delineate export nuclei --to openvino --int8 --calibrate photos/ --verify my-dataset

delineate export runs/mine/best.safetensors mine.xml --size 640 --half

delineate export mine.safetensors mine.onnx --size 480,640 --verify photos/

delineate export mine.safetensors mine.onnx --to tensorrt-ready --size 640

What comes out is used as any weights: delineate predict --weights mine.onnx image.png

Exit codes: 0 written, and verified if asked; 2 nothing was written, or what was written differed too much
and was removed."""


def export_command(
    model: Annotated[
        str, typer.Argument(help="Name of the zoo, or a weights file that says which model it is.")
    ],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="File to write: .onnx, .xml (OpenVINO), .pt2. Default: the model's name, here."),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            help="onnx, openvino, torch.export or tensorrt-ready. Default: by the file's ending, else onnx.",
            show_default=False,
        ),
    ] = "",
    half: Annotated[
        bool, typer.Option("--half", help="Weights as float16: half the file, computed in float32.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Compute in 8 bits; needs --calibrate. Check with --verify.")
    ] = False,
    calibrate: Annotated[
        list[str] | None,
        typer.Option(help="With --int8: images, a folder or a dataset like those it will see; repeatable."),
    ] = None,
    size: Annotated[
        str, typer.Option(help="Input in pixels: SIDE, or HEIGHT,WIDTH. Default: the model's own.")
    ] = "",
    dynamic: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--dynamic/--fixed",
            help="Any number of images of any size, or one size. Default: any size where the graph can, "
            "the model takes images as they are, and no --size is given.",
            show_default=False,
        ),
    ] = None,
    batches: Annotated[
        bool, typer.Option("--batches", help="Any number of images of one size at once, in place of one.")
    ] = False,
    verify: Annotated[
        list[str] | None,
        typer.Option(help="Images, a folder or a dataset to compare model and export on; repeatable."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="With --verify: the AP (without truth, the part of the objects) that may be lost, 0..1. "
            "Default: 0.001 of AP; with --half 0.005, with --int8 0.02.",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="With --verify: keep scores above it, 0..1.", show_default=False)
    ] = None,
    max_det: Annotated[
        int | None, typer.Option(help="At most so many objects an image.", show_default=False)
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a model as a graph that runs without PyTorch's network, class names and settings included.

    Objects are chosen and masks made inside the graph. A JSON file beside it says what it is. With --verify,
    a file whose objects or scores differ too much from the model's is removed again: exit code 2.
    """
    from delineate.core.errors import InputError

    from .export_run import Asked, export_model, frame, target_of

    if half and int8:
        raise InputError("--half, --int8: expected one of them, got both; choose one")
    precision = "fp16" if half else "int8" if int8 else "fp32"
    asked = Asked(
        model,
        target_of(model, out, to, precision),
        to,
        precision,
        size=frame(size),
        dynamic=dynamic,
        batches=batches,
        max_det=max_det,
        calibrate=tuple(calibrate or ()),
        verify=tuple(verify or ()),
        confidence=confidence,
        tolerance=tolerance,
        quiet=quiet,
    )
    export_model(asked)
