"""One optimiser step: losses, gradients, their length, the new weights; in one piece or in parts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from delineate.core.batch import Batch
from delineate.core.errors import DelineateError
from delineate.nn.normaliser import StepCounts

from .config import Train
from .processes import Processes
from .split_average import ShardedAverage, share_buffers, whole
from .state import State, seed_step

PRECISION = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TrainingError(DelineateError):
    """A training that cannot go on."""


class Learner:
    """What a step needs.

    Args:
        state: the model and its optimiser.
        parallel: a batch -> its losses, see :func:`.losses.parallel_losses`.
        settings: of the recipe.
        processes: who takes part.
    """

    def __init__(self, state: State, parallel: nn.Module, settings: Train, processes: Processes) -> None:
        self.state, self.parallel, self.settings, self.processes = state, parallel, settings, processes

    def step(self, batch: Batch, lr: float) -> dict[str, Tensor]:
        """Learn from this process's share of a batch.

        Args:
            batch: with targets; cut into ``accumulate`` parts, whose gradients are added up.
            lr: learning rate.

        Returns:
            Each loss of this process's share, and ``gradient``, the length of all processes' gradient.

        Raises:
            TrainingError: a loss or gradient that is not finite, in any process.
        """
        state, settings = self.state, self.settings
        for group in state.optimizer.param_groups:
            group["lr"] = lr * group.get("part", 1.0)
        state.model.train()
        state.optimizer.zero_grad(set_to_none=True)
        losses = self.gradients(parts_of(batch.to(self.processes.device), settings.accumulate))
        self.check("a finite loss", self.processes.mean(losses["loss"]))
        state.scaler.unscale_(state.optimizer)
        norm = whole(nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip_norm or math.inf))
        if not state.scaler.is_enabled():  # fp16's scaler skips such steps
            self.check("finite gradients", float(norm))
        state.scaler.step(state.optimizer)
        state.scaler.update()
        if isinstance(state.average, ShardedAverage):
            share_buffers(state.model)
        state.average.update(state.model)
        state.step += 1
        return losses | {"gradient": norm}

    def gradients(self, parts: list[Batch]) -> dict[str, Tensor]:
        """Gradients of the parts' mean in the parameters; the parts' mean losses."""
        counts = self.counts(parts) if len(parts) > 1 and self.settings.count_first else None
        sums: dict[str, Tensor] = {}
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            with self.alone(not last), nullcontext() if counts is None else counts.using():
                losses = self.losses(part, at)
                total = losses["loss"] / len(parts)
                torch.autograd.backward(self.state.scaler.scale(total))
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0) + loss.detach() / len(parts)
        return sums

    def losses(self, part: Batch, at: int) -> dict[str, Tensor]:
        """The losses of one part, with the random numbers that are its own."""
        settings = self.settings
        seed_step(settings.seed, self.state.step, self.processes.rank, at)
        precision = PRECISION.get(settings.amp)
        with torch.autocast(self.processes.device.type, dtype=precision, enabled=precision is not None):
            losses: dict[str, Tensor] = self.parallel(part)
        return losses

    @torch.no_grad()
    def counts(self, parts: list[Batch]) -> StepCounts:
        """What all parts' losses together are divided by: one pass more, which leaves no trace."""
        counts = StepCounts()
        before = [buffer.clone() for buffer in self.state.model.buffers()]
        for at, part in enumerate(parts):
            with counts.counting():
                self.losses(part, at)
        for buffer, value in zip(self.state.model.buffers(), before, strict=True):
            buffer.copy_(value)
        counts.share()
        return counts

    @contextmanager
    def alone(self, wanted: bool) -> Iterator[None]:
        """While it lasts, gradients stay in this process, to be averaged with the last part's.

        A model that is split over the processes keeps no whole gradient: its parts go out at once.
        """
        if wanted and isinstance(self.parallel, DistributedDataParallel):
            with self.parallel.no_sync():
                yield
        else:
            yield

    def check(self, what: str, value: float) -> None:
        """Refuse what is not finite.

        Raises:
            TrainingError: not finite.
        """
        if not math.isfinite(value):
            raise TrainingError(
                f"step {self.state.step}: expected {what}, got {value}; lower train.lr, "
                "or set amp = 'off', and --resume"
            )


def parts_of(batch: Batch, count: int) -> list[Batch]:
    """A batch in ``count`` parts of neighbouring images."""
    if count == 1:
        return [batch]
    size = len(batch) // count
    cuts = [slice(at * size, (at + 1) * size) for at in range(count)]
    return [
        replace(
            batch,
            images=batch.images[cut],
            sizes=batch.sizes[cut],
            originals=batch.originals[cut],
            targets=None if batch.targets is None else batch.targets[cut],
        )
        for cut in cuts
    ]
