"""`delineate predict`: from image and video files to outlined, counted, measured objects."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from .cluster import ClusterOption
from .messages import only_errors
from .options import Device, Json, Quiet
from .predict_run import PredictRun

SAVED = "overlay,numbers,coco,labels,csv"
EPILOG = """Examples:

delineate predict image.tif

delineate predict plate7/ --out results --save labels,csv,parquet --plate --pixel-size 0.325

delineate predict plate7/ --out results --save labels,csv,parquet --plate --pixel-size 0.325 --resume

delineate predict stack.ome.tif --z focus --channels DAPI --save labels,rois,csv

delineate predict slides/ --stain macenko --stain-reference good.png --save qupath,csv

delineate predict '**/*.png' --weights runs/mine/best.safetensors --confidence 0.3

delineate predict slide.svs --out results --save overlay,qupath,parquet

delineate predict plane.ome.zarr --out results --region 20000,15000,8000,6000 --save zarr,csv

delineate predict clip.mp4 --out results

delineate predict 'shards/{000..099}.tar' --cluster local --workers 8 --out results

delineate predict street.jpg --task panoptic --weights panoptic.safetensors

cat image.png | delineate predict - --json

Exit codes: 0 every image done; 1 some failed, the rest is done; 2 wrong usage, or nothing could be done."""


def predict_command(
    inputs: Annotated[
        list[str], typer.Argument(help="Files, folders, patterns in quotes, or - for standard input.")
    ],
    model: Annotated[
        str,
        typer.Option(help="Name of the zoo (see `delineate models`), or your weights file. Default: nuclei."),
    ] = "",
    weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Weights that `delineate train` or `export` wrote."),
    ] = None,
    task: Annotated[
        str, typer.Option(help="instance: objects; panoptic: things and stuff; semantic: classes of pixels.")
    ] = "instance",
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("delineate-out"),
    save: Annotated[
        str,
        typer.Option(
            help="Some of overlay,numbers,page,coco,labels,zarr,csv,parquet,geojson,qupath,rois,crops; or "
            "none."
        ),
    ] = SAVED,
    confidence: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Keep objects with a score above it, 0..1. Default: 0.5; panoptic: the model's."),
    ] = None,
    iou: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Suppress objects that overlap a better one more, 0..1. Default: the model's."),
    ] = None,
    max_det: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="At most so many objects per image. Default: the model's."),
    ] = None,
    tile: Annotated[
        str, typer.Option(help="auto: as the model asks; 0: never; N: windows of N pixels.")
    ] = "auto",
    channels: Annotated[
        str, typer.Option(help="Channels to look at: one, or three as 0,1,2; from 0, or by the file's names.")
    ] = "",
    page: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Page of a multi-page TIFF, from 0. Default: all of them."),
    ] = None,
    z: Annotated[
        str, typer.Option(help="One image of a stack's slices: max, mean, focus, or a slice from 0.")
    ] = "",
    stain: Annotated[
        str, typer.Option(help="Bring stained slides to like colours: macenko, vahadane or reinhard.")
    ] = "",
    stain_reference: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Image whose stain they are brought to. Default: tissue that `nuclei` learned."),
    ] = None,
    pixel_size: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Side of a pixel in µm, for the table. Default: what each file says."),
    ] = None,
    plate: Annotated[
        bool, typer.Option("--plate", help="Wells A01 to P24 from the file names: a table and a heat map.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was cut off.")] = False,
    region: Annotated[
        str,
        typer.Option(help="Look at x,y,width,height in pixels alone. This and the next three: by windows."),
    ] = "",
    tissue: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--tissue/--no-tissue", help="Skip glass. Default: in slides in colour that have some."),
    ] = None,
    overlap: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Pixels that windows share. Default: what the model needs, for nuclei 384."),
    ] = None,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Threads that read windows ahead of the model, default 2; with --cluster: models."),
    ] = None,
    cluster: ClusterOption = "",
    device: Device = "",
    max_pixels: Annotated[int, typer.Option(help="Refuse larger images.")] = 200_000_000,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find, outline, count and measure the objects in images."""
    from delineate.core.errors import InputError
    from delineate.engine.batch_sources import Reading
    from delineate.measurements.units import check_pixel_size

    from .large import LargeOptions, LargeRun, parse_region
    from .outputs import Outputs, parse_kinds
    from .segments import SegmentOutputs, kinds_of, parse_task

    if quiet:
        only_errors()
    kinds = parse_kinds(save)
    whole = parse_task(task) != "instance"
    if whole:
        kinds = kinds_of(task, kinds, default=save == SAVED)
    elif confidence is None:
        confidence = 0.5
    if plate and (whole or not kinds):
        raise InputError("--plate: expected objects that are written, got none; give --save labels,csv")
    check_pixel_size(pixel_size, "µm")
    reading = Reading(_channels(channels), page, _slices(z), max_pixels)
    finding: dict[str, Any] = {"confidence": confidence, "iou": iou, "max_det": max_det, "tile": _tile(tile)}
    normaliser = _normaliser(stain, stain_reference)
    if cluster:
        from .cluster import SAVED as PARTITIONS
        from .cluster import predict_on_cluster

        if whole:
            raise InputError(f"--task {task}: expected instance with --cluster, got another; leave one out")
        predict_on_cluster(
            inputs,
            out,
            str(weights or model),
            cluster,
            workers=workers,
            quiet=quiet,
            as_json=as_json,
            save=PARTITIONS if save == SAVED else save,
            reading=reading,
            resume=resume,
            device=device,
            stain=normaliser,
            pixel_size=pixel_size,
            plate=plate,
            windows={"region": parse_region(region), "tissue": tissue, "overlap": overlap},
            **finding,
        )
    run = PredictRun(reading, finding, quiet=quiet, as_json=as_json, task=task, stain=normaliser)
    large = LargeOptions(overlap, workers, parse_region(region), tissue)
    paths = run.find(inputs, out)
    if not paths:
        run.finish({}, 2)
    if whole and large.given:
        raise InputError(
            f"--task {task}: expected no --region, --tissue, --overlap or --workers, got one; leave it out"
        )
    known = frozenset(Path(s).resolve() for s in paths if s != "-")
    by_windows = large.among(paths, reading) if not whole else []
    paths = [path for path in paths if path not in by_windows]
    from delineate.engine.batch import open_journal, sources_of
    from delineate.engine.load import load
    from delineate.engine.predict import check_settings

    check_settings(**finding)
    outputs = (SegmentOutputs if whole else Outputs)(out, kinds, known, pixel_size, plate)
    if isinstance(outputs, SegmentOutputs):
        outputs.task = task
    sources = sources_of(paths, outputs)
    made = bool(kinds) and not out.exists()
    if kinds:
        outputs.make_folder()  # a place that cannot be written to is told before the first image
    told = {"model": model, "weights": _file(weights), "task": task, **finding, "stain": stain}
    told |= {"stain_reference": _file(stain_reference), **asdict(reading)}
    journal = open_journal(out, outputs, told, resume)
    run.model = load(model or None, weights=weights, device=device or None)
    written: dict[str, str] = {}
    try:
        run.all(sources, outputs, journal)
        settings: dict[str, Any] = {
            "save": None if save == SAVED else kinds,
            "resume": resume,
            "pixel_size": pixel_size,
            "plate": plate,
            "name": outputs.stem,
        }
        LargeRun(run, large, reading, out, **settings).all(by_windows)
    finally:  # an interrupt keeps what is done
        if journal is not None:
            stamps = {source.path: source.stamp for source in sources}
            written = outputs.close(journal, stamps, run.failed) if len(journal) else {}
            journal.close()
        if made:
            with suppress(OSError):  # something is in it
                out.rmdir()
    if journal is not None:
        journal.end(whole=not run.failed)
    if not run.done and not run.failed:
        raise InputError("predict: expected at least one image, got none")
    run.finish(written, (1 if run.done else 2) if run.failed else 0)


def _file(path: Path | None) -> str:
    """A file as the notes of a run know it: its place, size and time."""
    from delineate.engine.batch import stamp_of

    return "" if path is None else f"{path} {stamp_of(str(path))}"


def _normaliser(method: str, reference: Path | None) -> Any:
    from delineate.core.errors import InputError
    from delineate.data.stain import METHODS, REFERENCE, Normaliser, fit

    if not method:
        if reference is not None:
            raise InputError("--stain-reference: expected --stain with it, got none; add --stain macenko")
        return None
    if method not in METHODS:
        raise InputError(f"--stain: expected one of {', '.join(METHODS)}, got {method!r}; choose one")
    if reference is None:
        return Normaliser(method, REFERENCE)
    from delineate.data.images import read

    pixels = read(reference).pixels
    found = fit(pixels, method) if pixels.ndim == 3 and pixels.dtype.kind == "u" else None
    if found is None:
        raise InputError(
            f"--stain-reference {reference}: expected a stained slide in colour, got none; give another image"
        )
    return Normaliser(method, found)


def _slices(text: str) -> int | str | None:
    return int(text) if text.isdecimal() else text or None


def _channels(text: str) -> tuple[int | str, ...] | None:
    from delineate.core.errors import InputError

    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) in (1, 3) and all(parts) and not any(part.startswith("-") for part in parts):
        return tuple(int(part) if part.isdecimal() else part for part in parts)
    raise InputError(
        f"--channels: expected one or three channels as 0,1,2 or DAPI, got {text!r}; count from 0"
    )


def _tile(text: str) -> int | str:
    from delineate.core.errors import InputError

    if text == "auto":
        return text
    with suppress(ValueError):
        return int(text)
    raise InputError(f"--tile: expected auto, 0 or a number of pixels, got {text!r}; give for example 1024")
