"""Training: one visible loop, from a recipe to ``best.safetensors``.

Each process takes its share of every batch; DistributedDataParallel averages the gradients. For losses that
are means over images this is the gradient of the whole batch's mean, exactly. Losses divided by counts (of
objects, pixels) are exact where the count is :func:`delineate.nn.normaliser.mean_count`; else each process's
own mean counts alike. Batch norm sees each process's own share.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from delineate import __version__
from delineate.core.batch import Batch
from delineate.core.errors import InputError, MissingDependencyError
from delineate.data.loader import Source, TrainingSet, batches
from delineate.data.sampler import Sampler
from delineate.models.base import Segmenter
from delineate.nn.shared_norm import share_norms

from . import setup
from .checkpoint import save
from .config import Recipe, parse_recipe, read_recipe
from .ema import Average
from .interrupt import interruptible
from .learner import Learner
from .learner import TrainingError as TrainingError
from .losses import parallel_losses
from .meter import Meter
from .processes import Processes, joined
from .progress import TrainingLine
from .record import Log, draw_curves
from .schedule import optimizer, rate
from .split_average import ShardedAverage
from .state import POINTER, State

Scorer = Callable[[Segmenter, Source, torch.device], Mapping[str, float]]

INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Result:
    """What a training came to.

    Attributes:
        folder: where its files lie: best.safetensors, last.safetensors, last.state.pt, steps.csv, scores.csv,
            curves.png, recipe.json.
        step: optimiser steps done.
        seconds: wall-clock time, over all runs.
        best: the best score, or None where nothing was evaluated.
        scores: of the last evaluation.
        reason: why it ended, in words.
    """

    folder: Path
    step: int
    seconds: float
    best: float | None
    scores: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def begun(folder: Path) -> bool:
    """Whether a folder holds a training that can go on."""
    return any((folder / name).exists() for name in ("last.state.pt", POINTER))


def train(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    out: str | Path = "runs/train",
    *,
    resume: bool = False,
    device: str = "",
    sources: tuple[Source, Source | None] | None = None,
    score: Scorer | None = None,
    quiet: bool = False,
) -> Result:
    """Train a model.

    Args:
        recipe: a :class:`Recipe`, its nested values, or a TOML file.
        out: folder for checkpoints, logs and curves.
        resume: go on from ``out``'s last checkpoint; on the CPU to the bit.
        device: "cpu", "cuda", ...; empty: CUDA where there is one.
        sources: training and validation samples instead of the recipe's dataset; the classes are taken from
            ``classes`` of the first.
        score: the evaluation, ``(model, samples, device) -> scores by name``; default: the
            `evaluate` that a user calls, see :func:`delineate.engine.setup.scorer`.
        quiet: print nothing.

    Returns:
        Where its files lie, and what it scored.

    Raises:
        InputError: a recipe, dataset or folder that cannot be used.
        TrainingError: a loss that is not finite.
    """
    if isinstance(recipe, str | Path):
        recipe = read_recipe(recipe)
    elif not isinstance(recipe, Recipe):
        recipe = parse_recipe(dict(recipe))
    with joined(device) as processes:
        training, validation = sources or setup.sources(recipe)
        run = _Run(recipe, Path(out), processes, training, validation, score)
        run.prepare(resume)
        total = run.total if run.total < setup.ENDLESS else None
        with interruptible() as interrupted, TrainingLine(total, quiet or not processes.first) as line:
            return run.loop(line, interrupted)


class _Run:
    """One training in one process: its parts, and the loop over them."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        processes: Processes,
        training: Source,
        validation: Source | None,
        score: Scorer | None,
    ) -> None:
        self.recipe, self.settings, self.folder, self.processes = recipe, recipe.train, folder, processes
        self.validation = validation
        # One that is given knows nothing of processes: the first calls it, the others wait.
        self.alone = score is not None
        self.score = score or setup.scorer(recipe, processes)
        settings = self.settings
        setup.prepare_process(settings, processes)
        model = setup.model(recipe, training).to(processes.device)
        model = model.to(memory_format=torch.channels_last)  # half the time of a step on CPUs, less on GPUs
        training = setup.with_stuff(training, model)
        groups = setup.groups(training, settings.balance)
        self.data = TrainingSet(
            training, model.input, recipe.augment, settings.seed, recipe.data.cache, groups
        )
        if settings.batch_size % (shares := processes.world * settings.accumulate):
            raise InputError(
                f"train.batch_size: expected a multiple of {shares} ({processes.world} processes, "
                f"{settings.accumulate} parts each), got {settings.batch_size}"
            )
        self.sampler = Sampler(
            len(training), settings.batch_size, samples_per_epoch=settings.samples_per_epoch or None,
            seed=settings.seed, groups=groups, power=settings.balance_power,
            rank=processes.rank, world=processes.world,
        )  # fmt: skip
        self.total = settings.steps or settings.epochs * self.sampler.steps
        self.sharded = settings.sharded and processes.world > 1
        average = (ShardedAverage if self.sharded else Average)(model, settings.ema)
        if settings.sync_norm:
            share_norms(model, processes.channel(), getattr(model, "by_object", ()))
        parallel = parallel_losses(model, processes, self.sharded)
        if isinstance(average, ShardedAverage):
            average.start(model)
        scaler = torch.amp.GradScaler(processes.device.type, enabled=settings.amp == "fp16")
        self.state = State(model, average, optimizer(model, settings), scaler)
        self.learner = Learner(self.state, parallel, settings, processes)
        self.log: Log | None = None
        self.reason = ""
        self.meter = Meter(settings.batch_size)

    def prepare(self, resume: bool) -> None:
        """Take up an earlier training, or make sure that none is overwritten."""
        path = self.folder / "last.state.pt"
        split = self.folder / POINTER
        if resume and (self.sharded or (split.exists() and not path.exists())):
            from .sharded_state import load_sharded  # later: its imports take seconds

            load_sharded(self.state, self.folder, self.processes)
        elif resume:
            self.state.load(path)
        elif begun(self.folder):
            raise InputError(
                f"{self.folder}: expected an empty folder, got a training; --resume it or choose --out"
            )
        self.processes.gather(None)  # everyone has looked before the first one writes
        if self.processes.first:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "recipe.json").write_text(json.dumps(self.recipe.to_dict(), indent=1) + "\n")
            self.log = Log(self.folder, self.state.step)

    def loop(self, line: TrainingLine, interrupted: Callable[[], bool]) -> Result:
        """Epoch by epoch: steps, evaluation, checkpoint."""
        state, settings = self.state, self.settings
        line.say(setup.describe(self.recipe, state.model, len(self.data), self.total, self.processes.world))
        if self.log is not None and not self.log.has_board:
            line.say("TensorBoard is not installed: logging to CSV only; pip install 'delineate[train]'")
        stream = batches(self.data, self.sampler, state.step, settings.workers, self.mixing)
        self.reason = self.why_stop(False, state.seconds)
        while not self.reason:
            self.epoch(stream, line, interrupted)
            if self.reason != INTERRUPTED and self.evaluation_due():
                self.evaluate(line)
            self.save()
        return self.finish(line)

    def epoch(self, stream: Iterator[Batch], line: TrainingLine, interrupted: Callable[[], bool]) -> None:
        """Steps to the end of the epoch, or until the training ends."""
        state, settings = self.state, self.settings
        start = saved = time.monotonic()
        before = state.seconds
        self.meter.restart()
        while True:
            lr = rate(settings, state.step, self.progress())
            self.meter.add(self.learner.step(next(stream), lr), lr)
            now = time.monotonic()
            # The first process's clock and signals count for all.
            stop, state.seconds, save_now = self.processes.agree(
                (interrupted(), before + now - start, now - saved >= 60 * settings.checkpoint_minutes)
            )
            self.write(line)
            self.reason = self.why_stop(stop, state.seconds)
            if self.reason or state.step % self.sampler.steps == 0:
                return
            if save_now:
                self.save()
                saved = time.monotonic()

    def mixing(self, step: int) -> bool:
        """Whether the images of a step, this one or one soon to come, are mixed."""
        return self.progress(step) < 1 - self.settings.close_mixing

    def progress(self, step: int | None = None) -> float:
        """How much is done, 0..1: by steps, or by the clock where ``max_minutes`` ends it sooner."""
        done = (self.state.step if step is None else step) / self.total
        if self.settings.max_minutes:
            done = max(done, self.state.seconds / (60 * self.settings.max_minutes))
        return min(done, 1.0)

    def why_stop(self, stop: bool, seconds: float) -> str:
        """The reason to end now, or nothing."""
        settings = self.settings
        if self.state.step >= self.total:
            return "done"
        if settings.max_minutes and seconds >= 60 * settings.max_minutes:
            return f"the {settings.max_minutes:.3g} minutes are up"
        if settings.early_stop and self.state.waited >= settings.early_stop:
            return f"no better score in {settings.early_stop} evaluations"
        return INTERRUPTED if stop else ""

    def write(self, line: TrainingLine) -> None:
        """The progress line, and a row of ``steps.csv`` every so many steps."""
        state = self.state
        epoch = (state.step - 1) // self.sampler.steps
        if state.step % self.settings.log_every == 0 or state.step == self.total:
            row = self.meter.take(self.processes)
            if self.log is not None:
                self.log.add("steps", {"step": state.step, "epoch": epoch, "seconds": state.seconds} | row)
        line.show(
            epoch=epoch, step=state.step, loss=self.meter.loss, lr=self.meter.lr, speed=self.meter.speed,
            progress=self.progress(), seconds=state.seconds,
        )  # fmt: skip

    def evaluation_due(self) -> bool:
        """Every so many epochs, and at the end."""
        every = self.settings.evaluate_every
        if self.validation is None or not every:
            return False
        return bool(self.reason) or (self.state.step // self.sampler.steps) % every == 0

    def evaluate(self, line: TrainingLine) -> None:
        """The average's scores on the validation samples, each process its share; the best is kept."""
        state = self.state
        start = time.monotonic()
        scores: dict[str, float] = {}
        whole = state.average.whole(self.processes.device)
        if self.validation is not None and (self.processes.first or not self.alone):
            scores = dict(self.score(whole, self.validation, self.processes.device))
        state.scores = scores = self.processes.agree(scores)
        name = setup.metric(scores, self.settings.metric)
        better = scores[name] > (-math.inf if state.best is None else state.best)  # never where it is NaN
        state.best, state.waited = (scores[name], 0) if better else (state.best, state.waited + 1)
        state.seconds = self.processes.agree(state.seconds + time.monotonic() - start)
        self.reason = self.reason or self.why_stop(False, state.seconds)
        if better:
            self.write_model("best.safetensors")
        if not self.processes.first:
            return
        epoch = (state.step - 1) // self.sampler.steps
        if self.log is not None:
            self.log.add("scores", {"step": state.step, "epoch": epoch, "seconds": state.seconds} | scores)
        shown = "  ".join(f"{k} {v:.4f}" for k, v in list(scores.items())[:6])
        line.say(f"epoch {epoch + 1}  {shown}{'  (best)' if better else ''}")

    def write_model(self, name: str) -> None:
        """The average as a checkpoint, with its training record; every process must call it."""
        state = self.state
        whole = state.average.whole(torch.device("cpu"))
        if not self.processes.first:
            return
        record = {
            "recipe": self.recipe.to_record(),
            "step": state.step,
            "minutes": round(state.seconds / 60, 2),
            "images": len(self.data),
            "scores": {k: v if math.isfinite(v) else None for k, v in state.scores.items()},
            "delineate": __version__,
            "torch": torch.__version__,
        }
        save(self.folder / name, whole, record=record, licence=self.recipe.model.licence)

    def save(self) -> None:
        """What alone a training resumes from, and ``last.safetensors``, to be used."""
        if self.sharded:
            from .sharded_state import save_sharded

            save_sharded(self.state, self.folder, self.processes)
            (self.folder / "last.state.pt").unlink(missing_ok=True)  # of a run before, not split
        elif self.processes.first:
            self.state.save(self.folder / "last.state.pt")
            (self.folder / POINTER).unlink(missing_ok=True)
        self.write_model("last.safetensors")

    def finish(self, line: TrainingLine) -> Result:
        """Curves, and what came out."""
        state = self.state
        if self.log is not None:
            self.log.close()
            try:
                draw_curves(self.folder)
            except MissingDependencyError as error:
                line.say(str(error))
        best = (
            ""
            if state.best is None
            else f", best {setup.metric(state.scores, self.settings.metric)} {state.best:.4f}"
        )
        line.say(f"{self.reason} after {state.step} steps, {state.seconds / 60:.1f} min{best}: {self.folder}")
        return Result(self.folder, state.step, state.seconds, state.best, state.scores, self.reason)
