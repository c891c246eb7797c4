"""Training batches: the sampler's choice, augmented in workers, stacked to one tensor.

Each example draws from a generator seeded by (seed, epoch, position), so the number of workers, the number of
processes and a break in between change nothing.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from delineate.core.batch import Batch, InputSpec
from delineate.core.instances import Instances

from .augment import Augment, augment, scaled
from .mixing import copy_paste
from .sampler import Draw, Sampler

Example = tuple[NDArray[np.float32], Instances]


class SampleLike(Protocol):
    """An image as read and its objects."""

    @property
    def image(self) -> NDArray[np.generic]: ...  # noqa: D102

    @property
    def truth(self) -> Instances: ...  # noqa: D102


class Source(Protocol):
    """A sequence of samples, such as :class:`delineate.data.dataset.Dataset`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> SampleLike: ...


class TrainingSet(TorchDataset[Example]):
    """Augmented examples by :class:`Draw`.

    Args:
        source: samples with ``image`` and ``truth``.
        spec: the model's input.
        settings: what varies.
        seed: with epoch and position it seeds each example.
        cache: keep scaled images in memory (4 bytes a pixel and channel), each worker those that it reads.
        groups: one name per image; copy-paste takes objects from the same group only.
    """

    def __init__(
        self,
        source: Source,
        spec: InputSpec,
        settings: Augment,
        seed: int = 0,
        cache: bool = False,
        groups: Sequence[str] | None = None,
    ) -> None:
        self.source, self.spec, self.settings, self.seed = source, spec, settings, seed
        self._cache: dict[int, Example] | None = {} if cache else None
        names = list(groups) if groups is not None else ["all"] * len(source)
        self._partners = {name: [i for i, n in enumerate(names) if n == name] for name in set(names)}
        self._names = names

    def __len__(self) -> int:
        return len(self.source)

    def _read(self, index: int) -> Example:
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        sample = self.source[index]
        example = scaled(sample.image, self.spec), sample.truth
        if self._cache is not None:
            self._cache[index] = example
        return example

    def __getitem__(self, draw: Draw) -> Example:
        rng = np.random.default_rng([self.seed, draw.epoch, draw.position])
        image, truth = augment(*self._read(draw.image), self.spec, self.settings, rng)
        if self.settings.copy_paste and rng.random() < self.settings.copy_paste:
            partner = int(rng.choice(self._partners[self._names[draw.image]]))
            other = augment(*self._read(partner), self.spec, self.settings, rng)
            image, truth = copy_paste(image, truth, *other, rng, self.settings.min_area)
        return image, truth


def stack(examples: Sequence[Example], spec: InputSpec) -> Batch:
    """Crops of one size as a batch: repeated over RGB, normalised, padded to the divisor with zeros.

    The original frame and the network frame are both the crop's.
    """
    side = examples[0][0].shape[0]
    padded = -(-side // spec.divisor) * spec.divisor
    shape = (len(examples), 3, padded, padded)
    images = torch.empty(shape, memory_format=torch.channels_last).zero_()
    mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (spec.mean, spec.std))
    for slot, (image, _) in zip(images, examples, strict=True):
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))  # (1 or 3, side, side)
        slot[:, :side, :side] = (pixels - mean) / std
    sizes = [(side, side)] * len(examples)
    return Batch(images, sizes, list(sizes), [truth for _, truth in examples])


def batches(data: TrainingSet, sampler: Sampler, step: int = 0, workers: int = 0) -> Iterator[Batch]:
    """Training batches from optimiser step ``step`` on, endlessly; workers live across epochs.

    Args:
        data: what makes examples.
        sampler: which examples make a batch.
        step: the first step, counted over all epochs.
        workers: processes that augment; 0: this process does. They import the main module, so a script that
            trains with workers needs ``if __name__ == "__main__":``.
    """
    if workers == 0:
        for draws in sampler.batches(step):
            yield stack([data[d] for d in draws], data.spec)
    else:
        loader = DataLoader(
            data,
            batch_sampler=sampler.batches(step),  # an iterator without end
            num_workers=workers,
            collate_fn=partial(stack, spec=data.spec),
            worker_init_fn=_quiet_worker,
            multiprocessing_context=_start_method(),
            generator=torch.Generator(),  # its own: the global one belongs to the model
        )
        yield from loader


def _start_method() -> str:
    """How workers start: not by forking, for threads of this process (TensorBoard, OpenCV) may hold locks."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def _quiet_worker(_: int) -> None:
    cv2.setNumThreads(1)
