"""`delineate evaluate`: a model, or predictions of any tool, against a dataset's truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from delineate.engine.metric_registry import DEFAULT, FULL, help_text

from .cluster import ClusterOption, ClusterWorkers, progress
from .options import Device, Quiet

if TYPE_CHECKING:
    from delineate.data.dataset import Dataset
    from delineate.engine.report import Report

CHOICES = (
    "max_det=NUMBER",
    "confidence=0..1",
    "crowd=ignored|counted",
    "truth_area=annotated|mask",
    "detection_area=mask|box",
)

EPILOG = """Examples:

delineate evaluate --model nuclei --data dsb2018 --split val --by modality

delineate evaluate --predictions results.json --data instances_val2017.json --out scores

delineate evaluate --model nuclei --data dsb2018 --out report.html

delineate evaluate --predictions b.json --against a.json --data instances_val2017.json

delineate evaluate --predictions r.json --data truth.json --explain-difference max_det=1000,crowd=counted

delineate evaluate --predictions labels_of_another_tool/ --data dsb2018 --metrics cells --json

delineate evaluate --model nuclei --data dsb2018 --metrics crowd --pictures worst

delineate evaluate --predictions delineate-out --data panoptic_val2017.json --metrics panoptic,semantic

Exit codes: 0 all images scored; 1 some images failed, the others are scored; 2 nothing could be scored."""


def evaluate_command(
    model: Annotated[str, typer.Option(help="Name of the zoo, or your weights file.")] = "",
    weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Weights that `delineate train` or `export` wrote."),
    ] = None,
    predictions: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Instead of a model: COCO results, dataset or panoptic JSON, or a folder of label images "
            "or of `delineate predict`'s results."
        ),
    ] = None,
    data: Annotated[str, typer.Option(help="Dataset with the truth: a folder or a COCO JSON file.")] = "",
    split: Annotated[
        str, typer.Option(help="Split to score, or `all`. Default: val where the dataset has it, else all.")
    ] = "",
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--image-folder",
            "--images",
            help="Folder of the images, where they do not lie beside the labels.",
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="Scores for each value of this column too, such as modality.")] = "",
    metrics: Annotated[
        str,
        typer.Option(
            help=f"Some of these, by commas. {help_text()} Default: {','.join(DEFAULT)}; for an .html page "
            f"{','.join(FULL)}."
        ),
    ] = "",
    confidence: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            help="Score detections from it on. Default: AP takes all, cells and crowd from 0.5 on, panoptic "
            "the model's own."
        ),
    ] = None,
    max_det: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="COCO's AP scores so many detections per image and class. Default: 100."),
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            help="Another model, weights file or predictions to compare with on the same images: difference, "
            "interval, p-value."
        ),
    ] = "",
    protocol: Annotated[
        str, typer.Option(help=f"Choices that tools make differently. {', '.join(CHOICES)}.")
    ] = "",
    explain_difference: Annotated[
        str,
        typer.Option(
            help="Score the same predictions under these choices too, and show where the two part, such as "
            "max_det=1000,crowd=counted."
        ),
    ] = "",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for report.json, .csv, .txt and .html, or one such file."),
    ] = None,
    pictures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Folder for pictures of the images with the most crowd errors; needs --metrics crowd."
        ),
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave malformed entries of the dataset out, counted.")
    ] = False,
    cluster: ClusterOption = "",
    workers: ClusterWorkers = None,
    device: Device = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score a model, or predictions of any tool, against a dataset's truth."""
    from delineate.core.errors import InputError

    if (predictions is None) == (not model and weights is None):
        raise InputError(
            "evaluate: expected --model or --weights, or else --predictions; see `delineate evaluate --help`"
        )
    if not data:
        raise InputError("evaluate: expected --data, got none; give the dataset with the truth")
    if cluster:
        if predictions is not None or against or explain_difference or pictures is not None:
            raise InputError(
                "--cluster: expected one model without --predictions, --against, --explain-difference and "
                "--pictures, got one of them; leave it out"
            )
        opened = partial(_dataset, data, split, images, False, False, skip_invalid)
        settings: dict[str, Any] = {"metrics": _metrics(metrics, out, False), "protocol": protocol}
        settings |= {"confidence": confidence, "max_det": max_det, "by": by or None}
        report = _on_cluster(str(weights or model), opened, settings, device, (cluster, workers), quiet)
        _show(report, out, as_json, quiet)
        raise typer.Exit(1 if report.failed else 0)
    stored = predictions is not None and _is_stored(against)
    illustrated = out is not None and out.suffix.lower() == ".html"
    dataset = _dataset(data, split, images, stored and pictures is None, illustrated, skip_invalid)
    report = _evaluate(
        predictions if predictions is not None else _model(model, weights, device),
        dataset,
        other=None
        if not against
        else Path(against)
        if _is_stored(against)
        else _model(against, None, device),
        explained=explain_difference,
        metrics=_metrics(metrics, out, bool(against or explain_difference)),
        confidence=confidence,
        max_det=max_det,
        by=by or None,
        pictures=pictures,
        protocol=protocol,
        illustrated=illustrated,
        progress=not quiet,
    )
    _show(report, out, as_json, quiet)
    if report.failed:
        raise typer.Exit(1)


def _on_cluster(
    model: str, opened: Any, settings: dict[str, Any], device: str, where: tuple[str, int | None], quiet: bool
) -> Report:
    """The report of a model whose images are shared out."""
    from delineate.engine.cluster.evaluate import EvaluateWork, evaluate_cluster
    from delineate.engine.cluster.ray_data import Cluster

    with progress("images", quiet) as (begin, tick):
        return evaluate_cluster(EvaluateWork(model, opened, settings, device), Cluster(*where), begin, tick)


def _metrics(asked: str, out: Path | None, records: bool) -> list[str]:
    """The names asked for; where two results are compared, image by image, with what that needs."""
    default = FULL if out is not None and out.suffix.lower() == ".html" else DEFAULT
    names = [name.strip() for name in asked.split(",") if name.strip()] or list(default)
    return [*names, "intervals"] if records and "intervals" not in names else names


def _is_stored(other: str) -> bool:
    """Whether this is predictions rather than a model; nothing is."""
    path = Path(other)
    return not other or path.is_dir() or path.suffix.lower() in (".json", ".txt")


def _evaluate(predictor: Any, dataset: Dataset, *, other: Any, explained: str, **settings: Any) -> Report:
    """The report, with the comparison and the explanation that were asked for."""
    from dataclasses import replace

    from delineate.engine.comparison import compare_reports
    from delineate.engine.evaluate import evaluate
    from delineate.engine.explanation import explain_difference
    from delineate.engine.protocol_choices import Choices

    wanted = Choices.parse(explained)  # a mistake in it is told before anything is scored
    report = evaluate(predictor, dataset, **settings)
    plain = {**settings, "pictures": None, "illustrated": False}
    if other is not None:
        report = replace(report, comparison=compare_reports(report, evaluate(other, dataset, **plain)))
    if wanted:
        base = Choices.parse(settings["protocol"])
        both = replace(base, **wanted.told)
        for name in ("max_det", "confidence"):
            plain[name] = None if name in wanted.told else plain[name]
        explained_by = evaluate(predictor, dataset, **{**plain, "protocol": both})
        report = replace(report, explained=explain_difference(report, explained_by, str(wanted)))
    return report


def _dataset(
    data: str, split: str, images: Path | None, stored: bool, illustrated: bool, skip_invalid: bool
) -> Dataset:
    """The dataset, cut to the split; without images where predictions are stored and none can be shown."""
    from delineate.core.errors import InputError
    from delineate.data.dataset import open_dataset

    if stored and illustrated:
        try:
            return _dataset(data, split, images, False, False, skip_invalid)
        except InputError:
            pass  # no images: the report has no pictures, or the data is wrong, which shows again below
    folder: Any = images if images is not None or not stored else False
    if split and split != "all":
        return open_dataset(data, split=split, images=folder, skip_invalid=skip_invalid)
    dataset = open_dataset(data, images=folder, skip_invalid=skip_invalid)
    return dataset if split or "val" not in dataset.groups.get("split", ()) else dataset.select(split="val")


def _model(name: str, weights: Path | None, device: str) -> Any:
    from delineate.engine.load import load

    return load(name or None, weights=weights, device=device or None)


def _show(report: Report, out: Path | None, as_json: bool, quiet: bool) -> None:
    from rich.console import Console

    from delineate.engine.report_text import render

    files = report.save(out) if out is not None else []
    if as_json:
        typer.echo(report.to_json())
    elif not quiet:
        console = Console(highlight=False)
        if console.is_terminal and console.width >= 100:
            render(report, console)
        else:
            typer.echo(str(report))
        for file in files:
            typer.echo(f"wrote {file}", err=True)
