"""Learning from corrections: a training on what is labelled, its weights in use, the order of the rest."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.records import Dataset, Record

from .assist import LOOKING, Assistant, Lazy
from .jobs import Job
from .store.classes import labels
from .store.tables import images as image_table
from .studio import Studio

if TYPE_CHECKING:
    from delineate.engine.label_queue import ImageScore
    from delineate.engine.load import Model

log = logging.getLogger("delineate")

LABELLED = ("done", "reviewed")
HELD_OUT = 5  # every fifth labelled image chooses the best weights, where there are enough
AUGMENT = {
    "crop": 192, "scale": [0.5, 2.0], "flip": True, "rotate90": True, "brightness": 0.1, "contrast": 0.3,
    "gamma": 0.4, "color": 0.1, "blur": 0.8, "noise": 0.03,
}  # fmt: skip


def labelled(studio: Studio) -> Dataset:
    """The images that are done or reviewed, with the objects as they are now; every fifth is the val split.

    Raises:
        InputError: fewer than two.
    """
    with studio.database.read() as connection:
        query = select(image_table).where(image_table.c.state.in_(LABELLED)).order_by(image_table.c.id)
        rows = list(connection.execute(query))
        classes, _ = labels(connection)
    if len(rows) < 2:
        raise InputError(
            f"train: expected two images or more that are done or reviewed, got {len(rows)}; label some first"
        )
    every = min(HELD_OUT, len(rows))
    records = tuple(
        Record(
            row.name, Path(row.path), row.id, (row.height, row.width), row.id,
            {"split": "val" if k % every == every - 1 else "train"},
        )
        for k, row in enumerate(rows)
    )  # fmt: skip

    def decode(record: Record, _: Labels) -> tuple[Instances, tuple[str, ...]]:
        return studio.instances(record.annotation), ()

    return Dataset(records, classes, decode, "studio", studio.data.source, channels=studio.data.channels)


def start_training(assistant: Assistant, minutes: float, changes: dict[str, Any]) -> Job:
    """Train the model in use on what is labelled, in a process of its own; then use the new weights.

    Args:
        assistant: the studio's.
        minutes: wall-clock time of the training.
        changes: settings of the recipe by table and key, such as ``{"train": {"lr": 1e-3}}``.

    Raises:
        InputError: too few labelled images, or a training is running.
    """
    data = labelled(assistant.studio)
    base = assistant.model()
    number = 1 + max((int(n.rpartition("-")[2]) for n in known_models(assistant.studio)), default=0)
    name = f"{assistant.studio.name}-{number}"
    folder = models_folder(assistant.studio) / name

    def work(job: Job) -> None:
        job.text = f"writing {len(data)} labelled images"
        folder.mkdir(parents=True, exist_ok=True)
        _write_data(data, folder / "data")
        base.save(folder / "start.safetensors")
        recipe = _recipe(base, folder, minutes, changes)
        (folder / "start.json").write_text(json.dumps(recipe, indent=1) + "\n")
        _run(job, folder, minutes)
        weights = next(
            (p for n in ("best", "last") if (p := folder / "run" / f"{n}.safetensors").is_file()), None
        )
        if job.stop.is_set() or weights is None:
            raise InputError("train: stopped before the end; the model in use stays")
        assistant.use(name, weights)
        job.result = {"model": name, "images": len(data), "scores": _scores(folder / "run")}
        job.text = f"{name} is in use, trained on {len(data)} images"

    return assistant.jobs.start("train", work, f"training {name}")


def models_folder(studio: Studio) -> Path:
    """Where the studio's own trainings lie."""
    return studio.cache.parent / "models"


def known_models(studio: Studio) -> dict[str, Path]:
    """Weights of the studio's own trainings, by name, the oldest first."""
    found = {}
    for folder in models_folder(studio).glob("*-*"):
        for name in ("last", "best"):
            path = folder / "run" / f"{name}.safetensors"
            if path.is_file() and folder.name.rpartition("-")[2].isdecimal():
                found[folder.name] = path
    return dict(sorted(found.items(), key=lambda item: int(item[0].rpartition("-")[2])))


def _write_data(data: Dataset, out: Path) -> None:
    from delineate.engine.convert import write_dataset

    write_dataset(data, out, "coco", images="link")


def _recipe(base: Any, folder: Path, minutes: float, changes: dict[str, Any]) -> dict[str, Any]:
    """The family's settings, short and gentle, from the weights in use."""
    from delineate.engine.family_settings import BY_BUILDER

    family = base.segmenter.family
    recipe: dict[str, Any] = {
        "data": {"path": str(folder / "data"), "cache": True},
        "model": {
            "name": family, "settings": dict(base.segmenter.settings),
            "weights": str(folder / "start.safetensors"),
        },
        "augment": dict(AUGMENT),
        "train": {
            "epochs": 100_000, "max_minutes": minutes, "batch_size": 4, "samples_per_epoch": 200,
            "workers": 0, "seed": 0,
        },
    }  # fmt: skip
    for key, value in BY_BUILDER.get(family, {}).items():
        table, _, name = key.partition(".")
        if table == "train":
            recipe["train"][name] = value
    recipe["train"]["lr"] = recipe["train"].get("lr", 1e-3) / 4  # from trained weights
    recipe["train"]["ema"] = 0.99
    for table, values in changes.items():
        if table not in ("train", "augment") or not isinstance(values, dict):
            raise InputError(f"recipe: expected the tables train and augment, got {table!r}; correct it")
        recipe[table] |= values
    return recipe


def _run(job: Job, folder: Path, minutes: float) -> None:
    """The training's process, watched; interrupted politely where the job is cancelled."""
    command = [
        sys.executable,
        "-m",
        "delineate",
        "train",
        str(folder / "start.json"),
        "--out",
        str(folder / "run"),
    ]
    start = time.monotonic()
    job.text = f"training for {minutes:g} minutes"
    with (folder / "log.txt").open("wb") as told:
        process = subprocess.Popen(
            command, stdout=told, stderr=subprocess.STDOUT, env=os.environ | {"NO_COLOR": "1"}
        )
        while process.poll() is None:
            job.progress = min(0.99, (time.monotonic() - start) / (60 * minutes + 10))
            if job.stop.wait(0.25):
                _end(process)
                return
    if process.returncode:
        lines = (folder / "log.txt").read_text(errors="replace").strip().splitlines()
        raise InputError(f"train: {lines[-1] if lines else 'the process ended'} (exit {process.returncode})")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _scores(run: Path) -> dict[str, float]:
    """The last row of the training's scores."""
    from delineate.engine.record import read_table

    path = run / "scores.csv"
    rows = read_table(path) if path.is_file() else []
    return {k: v for k, v in (rows[-1] if rows else {}).items() if v == v}


def rank_images(assistant: Assistant, strategy: str, job: Job) -> None:
    """Order the images that are still to do; the studio's queue and the job's result."""
    from delineate.engine.label_queue import order, pooled

    studio = assistant.studio
    with studio.database.read() as connection:
        query = select(image_table.c.id, image_table.c.state).order_by(image_table.c.record, image_table.c.id)
        states = {row.id: row.state for row in connection.execute(query)}
    model = assistant.model()
    waiting = [number for number, state in states.items() if state == "todo"]
    scores: dict[int, ImageScore] = {}
    known = []
    for k, number in enumerate(states):
        if job.stop.is_set():
            return
        job.progress, job.text = k / max(1, len(states)), f"looked at {k} of {len(states)} images"
        try:
            if states[number] in LABELLED:
                known.append(pooled(assistant.overview(number)))
            elif states[number] == "todo":
                scores[number] = _look(assistant, number, model)
        except InputError as error:
            log.warning("queue: image %d is left out: %s", number, error)
    ranked = [n for n in waiting if n in scores]
    found = order([scores[n] for n in ranked], known, strategy)  # type: ignore[arg-type]
    studio.queue = tuple(ranked[i] for i, _ in found)
    assistant.reasons = {ranked[i]: why for i, why in found}
    assistant.ranked_by = strategy
    job.result = {"images": studio.queue, "strategy": strategy}
    job.text = f"{len(ranked)} images in order"
    studio.ring()


def _look(assistant: Assistant, number: int, model: Model) -> ImageScore:
    """What the model makes of one image, of which no more is read than it looks at."""
    from delineate.engine.label_queue import look_at, pooled

    image: Any = Lazy(assistant.studio, number)
    features = pooled(assistant.overview(number))
    return look_at(image, lambda part: model.predict(part, confidence=LOOKING), lambda _: features)


def next_image(assistant: Assistant, strategy: str, fresh: bool) -> dict[str, Any]:
    """The image to label next; a job ranks the images where nobody has, or where a new order is wanted.

    Args:
        assistant: the studio's.
        strategy: one of :data:`delineate.engine.label_queue.STRATEGIES`.
        fresh: rank again, as after a training.

    Returns:
        ``image`` (None where nothing is left), ``reason``, and ``job`` while the order is being made.

    Raises:
        InputError: an unknown strategy.
    """
    from delineate.engine.label_queue import STRATEGIES

    if strategy not in STRATEGIES:
        raise InputError(
            f"queue: expected one of {', '.join(STRATEGIES)}, got {strategy!r}; choose one of them"
        )
    studio = assistant.studio
    with studio.database.read() as connection:
        query = select(image_table.c.id).where(image_table.c.state == "todo", image_table.c.fault == "")
        waiting = list(connection.execute(query.order_by(image_table.c.record, image_table.c.id)).scalars())
    job = assistant.jobs.running("queue")
    if job is None and waiting and (fresh or assistant.ranked_by != strategy):
        job = assistant.jobs.start("queue", lambda job: rank_images(assistant, strategy, job))
    left = set(waiting)
    chosen = next((n for n in studio.queue if n in left and assistant.ranked_by == strategy), None)
    told = {"job": job.id if job is not None else None, "waiting": len(waiting)}
    if chosen is not None:
        return {"image": chosen, "reason": assistant.reasons.get(chosen, ""), **told}
    if not waiting:
        return {"image": None, "reason": "nothing is left to do", **told}
    return {"image": waiting[0], "reason": "the first that is to do; the order is being made", **told}
