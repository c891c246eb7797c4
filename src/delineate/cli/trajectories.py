"""`delineate trajectories`: where tracked participants go, in the image or on the ground."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .options import Quiet

if TYPE_CHECKING:
    from delineate.data.tracks import TrackSequence
    from delineate.tracking.ground import Ground
    from delineate.tracking.plane import Plane

EPILOG = """Examples:

delineate trajectories tracks.txt --rate 25 --out paths

delineate trajectories KITTI-MOTS/instances/0002 --camera calib/0002.txt --rate 10 --forecast 2 --out paths

delineate trajectories crossing.txt --homography points.csv --rate 30 --classes car,pedestrian --out paths

points.csv has a line u,v,x,y for each point (4 or more) whose place is known: pixels, then metres. The fit is
told, and written as ground.json, which --homography takes too. A camera's file is JSON with focal, center,
height and pitch, a camera.json of Cityscapes, or a calibration of KITTI.

Where the camera rides on a car, --poses says where it was in each frame; else all is relative to the car.
Without --homography or --camera all is told in pixels. Several sequences get a folder each.

Exit codes: 0 all sequences done; 1 some failed, which are named; 2 nothing could be done."""


def trajectories_command(
    tracks: Annotated[
        Path,
        typer.Argument(help="Tracked objects: MOTS or MOT Challenge text, MOTS PNG, cell tracks, or others."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables, the picture and the report.")] = Path(
        "trajectories"
    ),
    homography: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="3 x 3 numbers from pixels to metres, or points u,v,x,y whose place is known."),
    ] = None,
    camera: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A camera above flat ground: JSON, Cityscapes' camera.json, KITTI's calibration."),
    ] = None,
    poses: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Where a riding camera was: frame,x,y,heading in degrees, or KITTI's 12 numbers a line."
        ),
    ] = None,
    rate: Annotated[float, typer.Option(help="Frames per second.")] = 30.0,
    forecast: Annotated[float, typer.Option(help="Tell the future so many seconds ahead; 0: not.")] = 2.0,
    classes: Annotated[str, typer.Option(help="Only these classes, with commas between.")] = "",
    save: Annotated[str, typer.Option(help="Some of parquet, csv, picture.")] = "",
    quiet: Quiet = False,
) -> None:
    """Where tracked participants go: places, speeds, headings, collisions, forecasts, as tables."""
    from delineate.core.errors import DelineateError, InputError
    from delineate.data.track_files import open_tracks

    from .messages import say

    if homography is not None and camera is not None:
        raise InputError("trajectories: expected --homography or --camera, got both; give one")
    sequences = open_tracks(tracks)
    if poses is not None and (len(sequences) > 1 or (homography is None and camera is None)):
        raise InputError("--poses: expected one sequence and --camera or --homography; give those")
    failed = 0
    for sequence in sequences:
        folder = out / sequence.name if len(sequences) > 1 else out
        try:
            ground = _ground(homography, camera, sequence.size, quiet, folder)
            plane = _plane(ground, poses, sequence)
            _one(sequence, folder, plane, rate, forecast, classes, save, quiet)
        except DelineateError as error:
            if len(sequences) == 1:
                raise
            failed += 1
            say(f"{sequence.name}: {error}")
    if failed:
        raise typer.Exit(2 if failed == len(sequences) else 1)


def _ground(
    homography: Path | None, camera: Path | None, size: tuple[int, int] | None, quiet: bool, out: Path
) -> Ground | None:
    import json

    from delineate.engine.calibration_files import read_camera, read_homography, save_ground

    if camera is not None:
        return read_camera(camera)
    if homography is None:
        return None
    ground, fit = read_homography(homography, size)
    if fit is not None:
        from delineate.data.write import atomic

        out.mkdir(parents=True, exist_ok=True)
        with atomic(out / "ground.json") as temporary:
            temporary.write_text(json.dumps(save_ground(ground)), encoding="utf-8")
        if not quiet:
            typer.echo(f"calibration by {fit}", err=True)
    return ground


def _plane(ground: Ground | None, poses: Path | None, sequence: TrackSequence) -> Plane | None:
    from delineate.engine.pose_files import read_poses
    from delineate.tracking.plane import Plane

    if ground is None:
        return None
    return Plane(ground, None if poses is None else read_poses(poses, sequence.frames))


def _one(
    sequence: TrackSequence, out: Path, plane: Plane | None, rate: float, forecast: float, classes: str,
    save: str, quiet: bool,
) -> None:  # fmt: skip
    """One sequence: read, tell, write."""
    from delineate.engine import trajectories as engine

    from .bars import bar

    names = [name.strip() for name in classes.split(",") if name.strip()]
    settings = _settings(forecast)
    with bar(sequence.name, len(sequence), quiet) as tick:
        seen = engine.sightings(sequence, rate, names, tick)
    found = engine.trajectories(seen, plane, settings)
    record: dict[str, Any] = {"tracks": str(sequence.where), "frames": len(seen), "rate": rate}
    files = engine.save(found, out, _saves(save), plane, record)
    if quiet:
        return
    typer.echo(f"{sequence.name}: {len(found.participants)} participants in {len(seen)} frames")
    compared = engine.judge_forecasts(found)
    if compared is not None:
        typer.echo(str(compared))
    if len(found.encounters):
        first = found.encounters.iloc[0]
        typer.echo(
            f"soonest collision if both went on: {first.ttc_s:.1f} s, tracks {first.track:.0f} and "
            f"{first.other:.0f}, frame {first.frame:.0f}"
        )
    for file in files:
        typer.echo(f"wrote {file}", err=True)


def _settings(forecast: float) -> Any:
    """Horizons every half second up to the one wanted."""
    from delineate.core.errors import InputError
    from delineate.engine.trajectories import TrajectorySettings
    from delineate.tracking.forecast import ForecastSettings

    if not 0 <= forecast <= 30:
        raise InputError(f"--forecast: expected 0 to 30 seconds, got {forecast:g}; choose fewer")
    count = int(forecast / 0.5 + 1e-9)
    horizons = tuple(0.5 * (k + 1) for k in range(count))
    if forecast and (not horizons or forecast - horizons[-1] > 1e-6):
        horizons += (forecast,)
    return TrajectorySettings(forecast=ForecastSettings(horizons=horizons))


def _saves(save: str) -> list[str]:
    """As given, else all; without pyarrow no Parquet, which is told."""
    from importlib.util import find_spec

    from .messages import say

    names = [name.strip() for name in save.split(",") if name.strip()]
    if names:
        return names
    if find_spec("pyarrow") is None:
        say("warning: tables are written as CSV alone; for Parquet pip install 'delineate[tables]'")
        return ["csv", "picture"]
    return ["parquet", "csv", "picture"]
