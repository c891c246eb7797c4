"""Which images make up each step: shuffled, balanced between groups, shared out between processes, resumable.

The order is a function of (seed, epoch) alone, so a training that goes on from step 1,234 draws the very
images it would have drawn without the break, on any number of processes and workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError


class Draw(NamedTuple):
    """One training example to make.

    Attributes:
        epoch: from 0.
        position: its place in the epoch's order, from 0.
        image: its place in the dataset.
        mix: whether other images may be mixed into it.
    """

    epoch: int
    position: int
    image: int
    mix: bool = True


class Sampler:
    """The batches of one process, from any step on, without end.

    Attributes:
        steps: optimiser steps per epoch.

    Args:
        count: images in the dataset.
        batch_size: images per step, over all processes together.
        samples_per_epoch: images per epoch, rounded up to whole batches; None: ``count``.
        seed: the same seed gives the same order.
        groups: one group name per image, to balance by; None: every image alike.
        power: a group is drawn in proportion to (its images) ** power: 1 as it is, 0 every group alike.
        rank: which process this is, 0..world - 1.
        world: how many processes share each batch.

    Raises:
        InputError: no images, or a batch that the processes cannot share evenly.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        samples_per_epoch: int | None = None,
        seed: int = 0,
        groups: Sequence[str] | None = None,
        power: float = 0.5,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if count < 1:
            raise InputError("training set: expected at least one image, got none; check train_split")
        if batch_size % world:
            raise InputError(
                f"train.batch_size: expected a multiple of the {world} processes, got {batch_size}"
            )
        self.batch_size = batch_size
        self.seed = seed
        self.rank, self.world = rank, world
        self.steps = -(-(samples_per_epoch or count) // batch_size)
        names = list(groups) if groups is not None else ["all"] * count
        self._members = [
            np.array([i for i, n in enumerate(names) if n == name]) for name in sorted(set(names))
        ]
        weights = np.array([len(m) for m in self._members], dtype=np.float64) ** power
        self._shares = weights / weights.sum()

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Indices of the epoch's images, (steps x batch_size,): whole rounds of each group, then shuffled."""
        rng = np.random.default_rng([self.seed, epoch])
        total = self.steps * self.batch_size
        exact = self._shares * total
        quotas = np.floor(exact).astype(int)
        # What rounding left over goes to the groups in turn, by chance, in proportion to their remainders.
        missing = total - int(quotas.sum())
        remainders = exact - quotas
        if missing:
            chance = remainders / remainders.sum()
            quotas += np.bincount(rng.choice(len(quotas), missing, p=chance), minlength=len(quotas))
        parts = [self._rounds(m, q, rng) for m, q in zip(self._members, quotas, strict=True)]
        return rng.permutation(np.concatenate(parts))

    @staticmethod
    def _rounds(members: NDArray[np.int64], quota: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """``quota`` members: every one once before any comes twice."""
        rounds = [rng.permutation(members) for _ in range(-(-quota // len(members)))]
        return np.concatenate([np.zeros(0, dtype=np.int64), *rounds])[:quota]

    def batches(self, step: int = 0) -> Iterator[list[Draw]]:
        """This process's share of each batch, from step ``step`` (over all epochs) on, endlessly."""
        epoch, first = divmod(step, self.steps)
        while True:
            order = self.order(epoch)
            for i in range(first, self.steps):
                places = range(i * self.batch_size + self.rank, (i + 1) * self.batch_size, self.world)
                yield [Draw(epoch, place, int(order[place])) for place in places]
            epoch, first = epoch + 1, 0
