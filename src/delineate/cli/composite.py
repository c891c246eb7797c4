"""`delineate composite`: other backgrounds, effects, objects removed, in videos and photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from .messages import only_errors
from .options import Device, Json, Quiet

EPILOG = """Examples:

delineate composite clip.mp4 --weights people.safetensors --background blur --keep person

delineate composite clip.mp4 --weights people.safetensors --background transparent --out cut-out.mov

delineate composite clip.mp4 --tracks tracks.txt --effect spotlight:id:3 --effect outline=red:id:3

delineate composite street.mp4 --detections street.frames.json --effect pixelate:person --out private.mp4

delineate composite clip.mp4 --tracks tracks.txt --effect remove:id:2 --from 0:10 --to 0:25

delineate composite photos/ --background beach.jpg --keep largest --edges fine

WHICH objects: a class, id:NUMBER, all, largest, or several with commas. Endings: .mp4 with the sound; .mov
(ProRes 4444) and .webm (VP9) with transparency too; a folder of PNG with --as png.

Exit codes: 0 all done; 1 some of it failed, the rest is done; 2 wrong usage, or nothing could be done."""


def composite_command(
    inputs: Annotated[
        list[str], typer.Argument(help="Videos, photographs, folders of photographs, patterns in quotes.")
    ],
    background: Annotated[
        str,
        typer.Option(help="none, blur, blur=0.02, transparent, a colour, an image or a video file."),
    ] = "none",
    keep: Annotated[str, typer.Option(help="WHICH objects stay in front of the background.")] = "all",
    effect: Annotated[
        list[str] | None,
        typer.Option(
            help="outline, spotlight, pixelate, recolour or remove, as NAME, NAME=VALUE, NAME:WHICH or "
            "NAME=VALUE:WHICH. Default: on what --keep says. May be repeated."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of the zoo, or your weights file. Default: nuclei.")] = "",
    weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Weights that `delineate train` or `export` wrote."),
    ] = None,
    tracks: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Tracks of the one input instead of a model: MOTS, MOT, CTC. A folder is a film."),
    ] = None,
    detections: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Results for the one input instead of a model: COCO, label images and others."),
    ] = None,
    tracker: Annotated[
        str, typer.Option(help="Gives a video's objects ids where WHICH asks for some: masks, sort, …")
    ] = "masks",
    out: Annotated[Path, typer.Option(help="File for one input, or folder.")] = Path("delineate-out"),
    as_: Annotated[
        Literal["auto", "mp4", "mov", "webm", "png"],
        typer.Option("--as", help="Of a video into a folder. auto: mp4; with transparency mov."),
    ] = "auto",
    edges: Annotated[
        Literal["guided", "fine", "hard"],
        typer.Option(help="Soft edges: guided is quick; fine is better and slower; hard keeps the mask."),
    ] = "guided",
    band: Annotated[
        float, typer.Option(help="Pixels beside the outline that may be half covered. 0: by the size.")
    ] = 0.0,
    steady: Annotated[
        float, typer.Option(help="How calm edges are from frame to frame, 0 to below 1.")
    ] = 0.8,
    hold: Annotated[int, typer.Option(help="Frames for which an object that was missed is kept.")] = 2,
    begin: Annotated[str, typer.Option("--from", help="Begin of the part, as 12.5 or 1:30.")] = "",
    end: Annotated[str, typer.Option("--to", help="End of the part.")] = "",
    sound: Annotated[bool, typer.Option("--sound/--no-sound", help="Keep a video's sound.")] = True,
    confidence: Annotated[float, typer.Option(help="The model's objects with a score above it, 0..1.")] = 0.5,
    device: Device = "",
    max_pixels: Annotated[int, typer.Option(help="Refuse larger images.")] = 200_000_000,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Change what is behind objects, or the objects: blur, replace, cut out, outline, pixelate, remove."""
    from delineate.apply.composite import Effect, Look
    from delineate.apply.matting import MatteSettings
    from delineate.apply.selection import Selection
    from delineate.core.errors import InputError
    from delineate.data.video_part import seconds
    from delineate.engine.backgrounds import background as parse_background

    from .composite_run import CompositeRun, Place

    if quiet:
        only_errors()
    effects = tuple(Effect.parse(text) for text in effect or [])
    behind = parse_background(background, max_pixels=max_pixels)
    if behind.behind is None and not behind.transparent and not effects:
        raise InputError("composite: expected --background or --effect, got neither; give one")
    look = Look(
        behind.behind, behind.transparent, Selection.parse(keep), effects,
        MatteSettings(edges, band), steady, hold,
    )  # fmt: skip
    given = [path for path in (tracks, detections) if path is not None]
    if len(given) + bool(model or weights) > 1:
        raise InputError(
            "composite: expected one of --model (or --weights), --tracks, --detections; got more"
        )
    part = (seconds(begin, "--from") if begin else 0.0, seconds(end, "--to") if end else None)
    place = Place(out, as_, look.transparent)
    run = CompositeRun(look, place, part, sound=sound, film=tracks is not None, quiet=quiet, as_json=as_json)
    run.max_pixels, run.tracker = max_pixels, tracker
    sources = run.find(inputs)
    if given and len(sources) > 1:
        raise InputError(f"composite: expected one input with {given[0]}, got {len(sources)}; give one")
    if not given and sources:
        from delineate.engine.composite import Objects
        from delineate.engine.load import load
        from delineate.engine.predict import check_settings

        check_settings(confidence=confidence)
        found = load(model or None, weights=weights, device=device or None)
        run.objects = Objects.of_model(found, confidence=confidence)
        for chosen in look.selections:
            chosen.check(found.classes)
    run.all(sources, given[0] if given else None)
    run.finish()
