"""`delineate lineage`: who descends from whom, as a picture and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from .options import Quiet

EPILOG = """Examples:

delineate lineage tracks/01_RES --out lineage

delineate lineage Fluo-N2DH-SIM+/01_GT --pixel-size 0.125 --interval 29 --out lineage

Written are NAME.lineage.png, the tree; NAME.lineage.csv, a row for each track with its parent, generation,
first and last frame and areas; NAME.cells.csv, a row for each cell in each frame.

Exit codes: 0 all sequences done; 1 some failed, which are named; 2 nothing could be done."""


def lineage_command(
    tracks: Annotated[
        Path,
        typer.Argument(help="Tracked cells: a folder such as 01_RES or 01_GT, or other tracks."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the picture and the tables.")] = Path("lineage"),
    pixel_size: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Side of a pixel in µm: areas in µm². Default: in pixels."),
    ] = None,
    interval: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Minutes from frame to frame: durations in minutes. Default: in frames."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Who descends from whom: the tree of tracked cells, and tables of tracks and of areas over time."""
    from delineate.core.errors import DelineateError
    from delineate.data.track_files import open_tracks
    from delineate.engine.lineage import Units, cells, save

    from .bars import bar
    from .messages import say, tell

    units = Units(pixel_size, interval)
    sequences = open_tracks(tracks)
    failed = 0
    for sequence in sequences:
        try:
            with bar(sequence.name, len(sequence), quiet) as tick:
                found = cells(sequence, tick)
            files = save(found, out, units)
        except DelineateError as error:
            if len(sequences) == 1:
                raise
            failed += 1
            say(f"{sequence.name}: {error}")
            continue
        if not quiet:
            divided = sum(len(children) > 1 for children in found.lineage.divisions.values())
            tell(
                f"{found.name}: {len(found.lineage)} tracks in {found.frames} frames, {divided} divisions; "
                f"{', '.join(str(path) for path in files.values())}"
            )
    if failed:
        raise typer.Exit(2 if failed == len(sequences) else 1)
