"""`delineate synthesize`: crowds with exact truth, as a dataset or a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Quiet

if TYPE_CHECKING:
    from delineate.data.synthetic import SceneSettings

EPILOG = """Examples:

delineate synthesize crowds --images 200 --val 50 --crowding 0.7

delineate synthesize mixed --images 30 --crowding 0,0.5,1 --shapes cell,ring --size 256,320 --whole

delineate synthesize street --video 100 --shapes person --radius 14,22 --set speed=3 --set shake=1

--set takes clump, likeness, contrast, blur, noise, min_visible; and of videos speed, wander, shake.
Training needs no files: --data "synthetic:crowds?images=200&crowding=0.7" renders as it goes."""

MOTION: tuple[str, ...] = ("speed", "wander", "shake")


def synthesize_command(
    out: Annotated[
        Path, typer.Argument(help="Folder to write; it must be new or empty.", show_default=False)
    ],
    images: Annotated[int, typer.Option(help="Images to train on.")] = 200,
    val: Annotated[int, typer.Option(help="Images to validate on, from other seeds.")] = 0,
    size: Annotated[str, typer.Option(help="Side in pixels, or HEIGHT,WIDTH.")] = "256",
    objects: Annotated[int, typer.Option(help="Objects per image, as far as there is room.")] = 40,
    radius: Annotated[str, typer.Option(help="Least and greatest radius in pixels.")] = "7,13",
    crowding: Annotated[
        str, typer.Option(help="0 apart, 0.5 touching, 1 half hidden; several values take turns.")
    ] = "0.5",
    shapes: Annotated[str, typer.Option(help="Some of cell,ellipse,polygon,ring,person.")] = "cell",
    seed: Annotated[int, typer.Option(help="Another seed gives other images.")] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Write whole.json too: masks with their hidden parts.")
    ] = False,
    video: Annotated[int, typer.Option(help="Frames of a video, instead of images.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="One more setting, such as likeness=0.9; may be repeated."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make images, or a video, of crowds whose masks are known exactly."""
    from delineate.core.errors import InputError
    from delineate.data.synthetic.dataset import scene_settings

    if seed < 0 or images < 0 or val < 0 or video < 0 or not images + val + video:
        raise InputError("synthesize: expected some images or frames and a seed >= 0; see the numbers given")
    values = {"size": size, "objects": str(objects), "radius": radius, "crowding": crowding, "shapes": shapes}
    for pair in settings or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair}: expected name=value, such as likeness=0.9")
        values[name.strip()] = value.strip()
    moves = {name: values.pop(name) for name in MOTION if name in values}
    kinds = scene_settings(values, "synthesize")
    if video:
        _video(out, video, kinds, moves, seed, quiet)
    elif moves:
        raise InputError(f"--set {next(iter(moves))}: expected --video with it, got images; add --video 100")
    else:
        _images(out, {"train": images, "val": val}, kinds, seed, whole, quiet)


def _images(
    out: Path, counts: dict[str, int], kinds: list[SceneSettings], seed: int, whole: bool, quiet: bool
) -> None:
    from dataclasses import replace

    from delineate.data.synthetic import SyntheticDataset
    from delineate.data.synthetic.files import write_dataset

    parts = [SyntheticDataset.of(n, kinds, seed, split) for split, n in counts.items() if n]
    data = replace(parts[0], records=tuple(record for part in parts for record in part.records))
    with _bar("images", len(data), quiet) as tick:
        write_dataset(out, data, whole=whole, tick=tick)
    _done(f"wrote {out}: {len(data)} images", quiet)


def _video(
    out: Path, frames: int, kinds: list[SceneSettings], moves: dict[str, str], seed: int, quiet: bool
) -> None:
    from delineate.core.errors import InputError
    from delineate.data.synthetic import Motion, crowd_video
    from delineate.data.synthetic.files import write_video

    if len(kinds) > 1:
        raise InputError("--crowding: expected one value for a video, got several; choose one")
    try:
        motion = Motion(**{name: float(value) for name, value in moves.items()})
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"--set: expected numbers for {', '.join(moves)}, got others; correct them"
        ) from None
    film = crowd_video(seed, kinds[0], frames, motion)
    with _bar("frames", frames, quiet) as tick:
        write_video(out, film, tick=tick)
    absent = "" if (out / "video.mp4").exists() else "; video.mp4 needs the package av"
    _done(f"wrote {out}: {frames} frames of {len(film.objects)} objects{absent}", quiet)


@contextmanager
def _bar(what: str, total: int, quiet: bool) -> Iterator[Callable[[], object]]:
    """A progress bar on a terminal's stderr; what is given is called after each step."""
    import sys

    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def _done(text: str, quiet: bool) -> None:
    from .messages import say

    if not quiet:
        say(text)
