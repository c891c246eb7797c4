"""`delineate grasp`: from a picture, its depth and masks to grasps of each object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .options import Device, Json, Quiet

if TYPE_CHECKING:
    from delineate.engine.grasp_sources import Frame

Vector = tuple[float, float, float]

EPILOG = """Examples:

delineate grasp color.png depth.png --camera camera.json --masks labels.png --out grasps

delineate grasp rgb/ depth/ --camera 615.2,615.2,298.4,247.5 --model runs/parts/best.safetensors

delineate grasp frames/ frames/ --camera frames/cam.info.txt --masks frames/segm --out shelf

delineate grasp bop/test/000001 --save csv,json,bop --deadline 0.2

delineate grasp color.png depth.tif --camera K.txt --masks m.png --gripper width=0.1,depth=0.05 --suction none

Depth must lie on the picture's pixels (registered). 16-bit numbers are millimetres unless --depth-scale or
the camera's file says otherwise. Poses are 4 x 4 matrices from the gripper's frame to the camera's (x right,
y down, z forward), in metres; the gripper comes along its z and closes along its x.

Exit codes: 0 every frame done; 1 some failed, the rest is done; 2 wrong usage, or nothing could be done."""


def grasp_command(
    color: Annotated[
        str, typer.Argument(help="Picture, folder, pattern in quotes, or a BOP scene or dataset.")
    ],
    depth: Annotated[
        str, typer.Argument(help="Depth on the same pixels: 16-bit PNG, TIFF, .npy; not for BOP.")
    ] = "",
    camera: Annotated[
        str, typer.Option(help="fx,fy,cx,cy in pixels, or a file: JSON, YAML, text, cam.info.txt.")
    ] = "",
    masks: Annotated[str, typer.Option(help="Label images or a dataset, matched by name.")] = "",
    model: Annotated[str, typer.Option(help="This model finds the objects: a name or a weights file.")] = "",
    confidence: Annotated[float, typer.Option(help="With --model: keep scores above it, 0..1.")] = 0.5,
    gripper: Annotated[
        str, typer.Option(help="width, depth, thickness, breadth, palm, clearance in m, friction; or none.")
    ] = "",
    suction: Annotated[str, typer.Option(help="radius, compliance, hollow, length in m; or none.")] = "",
    approach: Annotated[
        str, typer.Option(help="Come only along x,y,z of the camera's frame; 0,0,1 is straight ahead.")
    ] = "",
    up: Annotated[
        str,
        typer.Option(help="Away from what they stand on; 0,-1,0: up in the picture. Default: to the camera."),
    ] = "",
    deadline: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Seconds for each frame, then the best so far; reading and writing not counted."),
    ] = None,
    best: Annotated[int, typer.Option(help="Keep so many grasps of each object and kind.")] = 5,
    depth_scale: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Metres of one stored unit. Default: the camera's file, else 0.001; floats 1."),
    ] = None,
    depth_rotated: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help="Bits that stored depth is rotated to the left by. Default: the camera's file, else 0."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for all that is written.")] = Path("grasps"),
    save: Annotated[str, typer.Option(help="Some of csv, parquet, json, ply, picture, page, bop.")] = "",
    device: Device = "",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Where and how to take each object: poses for two fingers or a suction cup, from RGB and depth."""
    from delineate.engine.grasp_files import DEFAULT_SAVES, GraspRun

    saves = tuple(part.strip() for part in save.split(",") if part.strip()) or DEFAULT_SAVES
    settings = _settings(gripper, suction, _vector(approach, "--approach"), _vector(up, "--up"), best)
    run = GraspRun(settings, out, saves, _deadline(deadline), depth_scale, depth_rotated)
    frames = _frames(color, depth, camera, masks, (model, confidence, device))
    _go(frames, run, quiet, as_json)


def _deadline(seconds: float | None) -> float | None:
    from delineate.core.errors import InputError

    if seconds is not None and not seconds > 0:
        raise InputError(f"--deadline: expected seconds above 0, got {seconds:g}; leave it out for none")
    return seconds


def _vector(text: str, option: str) -> Vector | None:
    from delineate.core.errors import InputError

    if not text:
        return None
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option}: expected x,y,z, got {text!r}; 0,0,1 is straight ahead") from None
    return x, y, z


def _settings(gripper: str, suction: str, approach: Vector | None, up: Vector | None, best: int) -> Any:
    from delineate.apply.grasp import GraspSettings
    from delineate.apply.gripper import cup_of, gripper_of, parse_sizes
    from delineate.core.errors import InputError

    fingers = None if gripper == "none" else gripper_of(parse_sizes(gripper, "--gripper"))
    cup = None if suction == "none" else cup_of(parse_sizes(suction, "--suction"))
    if fingers is None and cup is None:
        raise InputError(
            "grasp: expected fingers or a cup, got --gripper none and --suction none; leave one out"
        )
    return GraspSettings(fingers, cup, approach, up, best)


def _frames(color: str, depth: str, camera: str, masks: str, finder: tuple[str, float, str]) -> list[Frame]:
    from delineate.core.errors import InputError
    from delineate.data.camera_file import read_camera
    from delineate.engine.grasp_sources import bop_frames, is_bop, paired_frames

    model, confidence, device = finder
    predict = None
    if model and masks:
        raise InputError("grasp: expected --masks or --model, got both; give one")
    if model:
        from delineate.engine.load import load

        net = load(model, device=device or None)

        def predict(pixels: Any) -> Any:
            return net.predict(pixels, confidence=confidence)

    if is_bop(color):
        if depth or camera or masks:
            raise InputError(
                f"{color}: expected no DEPTH, --camera and --masks, as BOP's scenes have them; leave them out"
            )
        return bop_frames(color, predict)
    if not depth or not camera:
        raise InputError("grasp: expected DEPTH and --camera beside the picture, got less; give both")
    if predict is None and not masks:
        raise InputError("grasp: expected --masks or --model, got neither; give one")
    return paired_frames(color, depth, read_camera(camera), masks or None, predict)


def _go(frames: list[Frame], run: Any, quiet: bool, as_json: bool) -> None:
    from delineate import __version__
    from delineate.engine.grasp_files import grasp_frames, summary

    from .bars import bar
    from .messages import say, tell

    with bar("frames", len(frames), quiet) as tick:

        def told(name: str, row: dict[str, Any]) -> None:
            tick()
            if row["status"] == "failed":
                say(f"error: {name}: {row['reason'].removeprefix(f'{name}: ')}")
            elif not (quiet or as_json):
                tell(f"{name}: {summary(row)}")

        done = grasp_frames(frames, run, told)
    if as_json:
        document = {"delineate": __version__, "frames": done.frames, "out": str(run.out)}
        typer.echo(json.dumps(document, indent=1))
    elif not quiet and done.failed < len(frames):
        tell(f"wrote {run.out}: {len(done.written)} files")
    if done.failed:
        raise typer.Exit(2 if done.failed == len(frames) else 1)
