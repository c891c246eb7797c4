"""`delineate export`: a model as a file for ONNX Runtime or OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Quiet

if TYPE_CHECKING:
    from delineate.models.base import Segmenter

EPILOG = """Examples:

delineate export nuclei nuclei.onnx

delineate export runs/mine/best.safetensors mine.xml --to openvino --size 640

delineate export mine.safetensors mine.onnx --size 480,640 --verify photos/

delineate export mine.safetensors mine.onnx --dynamic

What comes out is used as any weights: delineate predict --weights mine.onnx image.png"""

SOME = 16  # images that a comparison looks at


def export_command(
    model: Annotated[
        str, typer.Argument(help="Name of the zoo, or a weights file that says which model it is.")
    ],
    out: Annotated[Path, typer.Argument(help="File to write: .onnx, or .xml for OpenVINO.")],
    to: Annotated[str, typer.Option(help="onnx or openvino. Default: by the file's ending.")] = "",
    size: Annotated[
        str, typer.Option(help="Input in pixels: SIDE, or HEIGHT,WIDTH. Default: the model's own.")
    ] = "",
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Any number of images of any size; may be slower.")
    ] = False,
    verify: Annotated[
        list[Path] | None,
        typer.Option(help="Image or folder to compare model and export on; may be repeated."),
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="With --verify: keep scores above it, 0..1.", show_default=False)
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a model as a graph that runs without PyTorch's network, class names and settings included.

    With --verify, a file whose outputs or objects differ from the model's is removed again: exit code 2.
    """
    from delineate.engine.load import load
    from delineate.runtime.export import export

    from .messages import say

    named = Path(model).suffix == "" and not Path(model).is_file()
    source = load(model, device="cpu") if named else load(weights=model, device="cpu")
    images = _images(verify) if verify else []
    path = export(source.segmenter, out, to or None, _size(size), dynamic=dynamic, licence=source.licence)
    if not quiet:
        say(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB")
    if images:
        _verify(source.segmenter, path, images, confidence, quiet)


def _verify(model: Segmenter, path: Path, images: list[Path], confidence: float | None, quiet: bool) -> None:
    from delineate.core.errors import InputError
    from delineate.data.images import read
    from delineate.runtime.parity import compare
    from delineate.runtime.session import Session

    from .messages import say

    parity = compare(model, Session(path), [read(file).pixels for file in images], confidence)
    try:
        parity.check(str(path))
    except InputError:
        for file in (path, path.with_suffix(".bin")):
            file.unlink(missing_ok=True)
        raise
    if not quiet:
        say(f"verified {path}: {parity}")


def _images(given: list[Path]) -> list[Path]:
    """The first images of the files and folders."""
    from delineate.data.find import find

    return [Path(file) for file in find([str(place) for place in given])][:SOME]


def _size(text: str) -> int | tuple[int, int] | None:
    from contextlib import suppress

    from delineate.core.errors import InputError

    if not text:
        return None
    with suppress(ValueError):
        sides = [int(part) for part in text.split(",")]
        if len(sides) == 1:
            return sides[0]
        if len(sides) == 2:
            return sides[0], sides[1]
    raise InputError(
        f"--size: expected a number of pixels or HEIGHT,WIDTH, got {text!r}; give for example 640"
    )
