"""`delineate measure`: from labels, results or images to a table of every object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .cluster import ClusterOption, ClusterWorkers
from .options import Pictures, Quiet, Resume, Split

if TYPE_CHECKING:
    from delineate.engine.measure_sources import Item

EPILOG = """Examples:

delineate measure labels/ --images images/ --pixel-size 0.65 --out measurements

delineate measure my-dataset --split val --by modality --plots --out measurements

delineate measure images/ --model nuclei --plate --page --out plate7

delineate measure labels.tif --out cells.parquet --neighbours --texture --images images/ --background 5

delineate measure results.json --data my-dataset --out cells.csv

delineate measure stack.tif --pixel-size 0.2 --z-step 0.5 --out cells.xlsx

LABELS are label images (PNG, TIFF; pages of a TIFF are slices of one stack), folders and patterns of them,
or datasets in any format of `delineate convert --list`. A folder --out also has pictures with the number of
every row on its object. Exit codes: 0 every image done; 1 some failed, the rest is done; 2 wrong usage, or
nothing could be done."""


def measure_command(
    labels: Annotated[
        list[str],
        typer.Argument(help="Label images, folders, patterns in quotes, datasets, or results with --data."),
    ],
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--images", "--image-folder", help="Folder of the images, named as their label images."),
    ] = None,
    data: Annotated[
        str, typer.Option(help="Dataset whose images the LABELS, results of any tool, are about.")
    ] = "",
    model: Annotated[
        str, typer.Option(help="LABELS are images; this model finds the objects: a name or a weights file.")
    ] = "",
    confidence: Annotated[
        float, typer.Option(help="With --model: keep objects with a score above it, 0..1.")
    ] = 0.5,
    split: Split = "",
    pixel_size: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Side of a pixel in --unit. Default: what each file says."),
    ] = None,
    z_step: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Distance of a stack's slices in --unit. Default: what the file says."),
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of --pixel-size.")] = "µm",
    neighbours: Annotated[
        bool, typer.Option("--neighbours", help="Touching and Delaunay neighbours, the nearest, the pairs.")
    ] = False,
    radius: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Count the neighbours within so many pixels too."),
    ] = None,
    texture: Annotated[bool, typer.Option("--texture", help="Haralick's features, of the images.")] = False,
    levels: Annotated[int, typer.Option(help="Grey levels for --texture, 2 to 256.")] = 32,
    background: Annotated[
        float, typer.Option(help="Width in pixels of a ring around each object that is its background.")
    ] = 0,
    channels: Annotated[
        str, typer.Option(help="Channels of the images to measure, from 0, as 0 or 0,2.")
    ] = "",
    pages: Annotated[
        bool, typer.Option("--pages", help="Pages of a TIFF are images of their own, not slices.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="A folder, or a file ending in .csv, .parquet, .xlsx or .h5ad.")
    ] = Path("delineate-measure"),
    by: Annotated[
        str, typer.Option(help="Compare the values of a column: class, well, or a dataset's, as modality.")
    ] = "",
    plots: Annotated[bool, typer.Option("--plots", help="Histograms and scatter plots, SVG.")] = False,
    plate: Annotated[
        bool, typer.Option("--plate", help="Wells A01 to P24 from the file names: a table and a heat map.")
    ] = False,
    plate_value: Annotated[
        str, typer.Option(help="Column of the table of wells that the heat map shows.")
    ] = "count_per_image",
    pictures: Pictures = True,
    page: Annotated[
        bool,
        typer.Option("--page", help="With a folder: pages where a click ties a row to its object."),
    ] = False,
    spread: Annotated[
        bool, typer.Option("--distributions", help="How every measure is spread in each image, a table.")
    ] = False,
    cluster: ClusterOption = "",
    workers: ClusterWorkers = None,
    resume: Resume = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the images' numbers as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Measure every object: size, shape, brightness, texture, neighbours; in pixels and physical units."""
    from delineate.core.errors import InputError
    from delineate.engine.measure_files import RunSettings
    from delineate.engine.measure_inputs import chosen_items
    from delineate.engine.measure_pictures import PictureSettings
    from delineate.engine.measure_tables import check_ending
    from delineate.measurements import Groups
    from delineate.measurements.units import check_pixel_size

    from .messages import only_errors

    if quiet:
        only_errors()
    check_pixel_size(pixel_size, unit)
    check_pixel_size(z_step, unit)
    check_ending(out)
    if model and data:
        raise InputError("measure: expected --model or --data, got both; leave one out")
    if page and out.suffix:
        raise InputError(f"--page: expected --out to be a folder, got {out}; pages lie beside the tables")
    groups = Groups(neighbours or radius is not None, radius, texture, levels, None, background)
    settings = RunSettings(
        groups,
        pixel_size,
        unit,
        z_step,
        PictureSettings(out, pictures, page) if (pictures or page) and not out.suffix else None,
        plate or by == "well",
    )
    reading = {"images": images, "split": split or None, "channels": _numbers(channels), "slices": not pages}
    found = chosen_items(labels, reading, model, confidence, data)
    _check_images(found, groups)
    what = {"labels": labels, "model": model, "confidence": confidence, "data": data, "channels": channels}
    views = {"by": by, "plate_value": plate_value, "plots": plots, "plate": plate, "spread": spread}
    run = _Run(found, settings, out, views)
    if cluster:
        from delineate.engine.cluster.measure import MeasureWork, measure_cluster
        from delineate.engine.cluster.ray_data import Cluster

        work = MeasureWork(tuple(labels), reading, model, confidence, data, settings)
        chosen = Cluster(cluster, workers)
        run.measure = lambda items, journal, tell: measure_cluster(work, items, chosen, journal, tell)
    run.go(what, resume, quiet, as_json)


def _check_images(items: list[Item], groups: Any) -> None:
    """Refuses, before a long run, what needs images where there are none."""
    from delineate.core.errors import InputError

    needed = "--texture" if groups.texture else "--background"
    if (groups.texture or groups.background) and not any(item.pictured for item in items):
        raise InputError(
            f"{needed}: expected images, got labels alone; give the images' folder by --images, or leave "
            f"{needed} out"
        )


class _Run:
    """One run of the command: what it measures, writes and tells."""

    def __init__(self, items: list[Item], settings: Any, out: Path, views: Mapping[str, Any]) -> None:
        self.items, self.settings, self.out, self.views = items, settings, out, views
        self.measure: Any = self._measure

    def _measure(self, items: list[Item], journal: Any, tell: Any) -> Any:
        from delineate.engine.measure_files import measure_items

        return measure_items(items, self.settings, journal, tell)

    def go(self, what: Mapping[str, Any], resume: bool, quiet: bool, as_json: bool) -> None:
        """Measure, write, tell; raises typer.Exit with the command's code."""
        from delineate.engine.measure_journal import MeasureJournal

        from .bars import bar
        from .messages import say, tell
        from .written import journal_place

        place = journal_place(self.out, "measure")
        with (
            MeasureJournal(place, {**what, "settings": self.settings.plain()}, resume) as journal,
            bar("images", len(self.items), quiet) as tick,
        ):

            def told(name: str, row: Mapping[str, Any]) -> None:
                tick()
                if row["status"] == "failed":
                    say(f"error: {name}: {row['reason']}")
                elif not (quiet or as_json):
                    tell(_line(name, row))

            done = self.measure(self.items, journal, told)
            if len(done.failed) == len(self.items):
                journal.remove()
                raise typer.Exit(2)
            written = self._write(done)
            if not done.failed:
                journal.remove()
        if as_json:
            typer.echo(json.dumps(_document(done, written), indent=1, allow_nan=False))
        elif not quiet:
            images, objects = len(self.items), len(done.objects)
            bad = f", {len(done.failed)} failed (mend them and give --resume)" if done.failed else ""
            tell(f"{images} image{'s'[: images != 1]}, {objects} object{'s'[: objects != 1]}{bad}")
            tell("wrote " + ", ".join(map(str, written)))
        raise typer.Exit(1 if done.failed else 0)

    def _write(self, done: Any) -> list[Path]:
        """Tables, plots and plate; what was written."""
        from delineate.core.errors import InputError
        from delineate.engine.measure_joined import by_group, by_image, described
        from delineate.engine.measure_pictures import page_entries
        from delineate.engine.measure_tables import write_tables
        from delineate.engine.objects_page import write_index
        from delineate.engine.plate_map import well_table

        pages = page_entries(self.out, done.images)
        tables = {"objects": done.objects, "images": done.images.drop(columns="thumbnail", errors="ignore")}
        if done.pairs is not None:
            tables["pairs"] = done.pairs
        by = self.views["by"]
        if by:
            if by not in done.objects:
                texts = [n for n in done.objects.columns if done.objects[n].dtype.kind not in "iuf"]
                raise InputError(
                    f"--by: expected a column among {', '.join(texts)}, got {by!r}; choose one and give "
                    "--resume: what was measured is kept"
                )
            tables["groups"], tables["groups_per_image"] = by_group(done.objects, by)
        if self.settings.plate:
            tables["wells"] = well_table(done.images[done.images["status"] == "done"], done.objects)
        if self.views["spread"]:
            tables["distributions"] = by_image(done.objects)
        about = described(tables, self.settings.unit)
        for name, rows in about.groupby("table"):
            told = rows.set_index("column")
            for key in ("unit", "source"):
                tables[str(name)].attrs[f"{key}s"] = {k: v for k, v in told[key].items() if v}
        tables["columns"] = about
        written = write_tables(self.out, tables)
        if pages:
            written.append(write_index(self.out / "index.html", pages, "Measured objects"))
        pictures = self._charts(done, tables.get("wells"))
        return written + self._save(pictures)

    def _charts(self, done: Any, wells: Any) -> dict[str, str]:
        from delineate.core.errors import InputError
        from delineate.engine.measure_charts import charts
        from delineate.engine.plate_map import plate_picture

        made: dict[str, str] = charts(done.objects, self.views["by"]) if self.views["plots"] else {}
        if self.views["plate"] and wells is not None:
            name = self.views["plate_value"]
            if name not in wells:
                raise InputError(
                    f"--plate-value: expected a column among {', '.join(wells.columns[3:])}, got {name!r}; "
                    "choose one and give --resume: what was measured is kept"
                )
            if len(wells):
                values = dict(zip(wells["well"], wells[name].astype(float), strict=True))
                made["plate"] = plate_picture(values, name.replace("_", " "))
            else:
                from .messages import say

                say("warning: no file name tells a well (A01 to P24); no plate is drawn")
        return made

    def _save(self, pictures: Mapping[str, str]) -> list[Path]:
        from delineate.engine.atomic import write_atomically

        written = []
        for name, svg in pictures.items():
            path = (
                self.out.with_name(f"{self.out.stem}.{name}.svg")
                if self.out.suffix
                else self.out / f"{name}.svg"
            )
            write_atomically(path, lambda file, text=svg: file.write(text.encode()))  # type: ignore[misc]
            written.append(path)
        return written


def _line(name: str, row: Mapping[str, Any]) -> str:
    """``name: 70 objects, 23.1 % covered, median area 412 px^2; 2 outliers``."""
    parts = [f"{row['count']} object{'s'[: row['count'] != 1]}"]
    coverage = row.get("coverage")
    if isinstance(coverage, float) and coverage == coverage:
        parts.append(f"{100 * coverage:.1f} % covered")
    sizes = [n for n in row if n.startswith(("area", "volume")) and n.endswith("_q50")]
    if sizes and row[sizes[-1]] == row[sizes[-1]]:  # in physical units where they are known
        what, physical, _ = sizes[-1].removesuffix("_q50").partition("_")
        power = "²" if what == "area" else "³"
        parts.append(f"median {what} {row[sizes[-1]]:.4g} {row['unit'] if physical else 'px'}{power}")
    marks = [f"{row[m]} {m.replace('_', ' ')}" for m in ("outlier", "blurred", "degenerate") if row.get(m)]
    return f"{name}: {', '.join(parts)}" + (f"; marked: {', '.join(marks)}" if marks else "")


def _document(done: Any, written: list[Path]) -> dict[str, Any]:
    from delineate import __version__

    rows = [{k: _plain(v) for k, v in row.items()} for row in done.images.to_dict("records")]
    return {
        "delineate": __version__,
        "images": rows,
        "objects": len(done.objects),
        "files": [*map(str, written)],
    }


def _plain(value: Any) -> Any:
    """A number that JSON has, None for NaN."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or str(value) == "<NA>":
        return None
    return value if isinstance(value, (str, bool, int)) else value.item()


def _numbers(text: str) -> tuple[int, ...] | None:
    from delineate.core.errors import InputError

    if not text:
        return None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = (-1,)
    if min(numbers) < 0:
        raise InputError(f"--channels: expected numbers from 0 as 0 or 0,2, got {text!r}; count from 0")
    return numbers
