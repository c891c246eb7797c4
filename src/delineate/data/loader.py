"""Training batches: the sampler's choice, augmented in workers, stacked to one tensor.

Each example draws from a generator seeded by (seed, epoch, position), so the number of workers, the number of
processes and a break in between change nothing. Whether images are mixed (mosaic, mix-up, copy-paste) is
decided where the examples are drawn, in the training process, and travels in the :class:`Draw`: only that
process knows how far the training is.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
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
from .mixing import Crop, copy_paste, mixup, mosaic, quarters
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
        groups: one name per image; mixing takes images of the same group only.
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
        settings = self.settings
        rng = np.random.default_rng([self.seed, draw.epoch, draw.position])
        partners = self._partners[self._names[draw.image]]

        def chance(probability: float) -> bool:
            return draw.mix and probability > 0 and bool(rng.random() < probability)

        def scene(image: int) -> Crop:
            if chance(settings.mosaic):
                return self._mosaic([image, *(int(i) for i in rng.choice(partners, 3))], rng)
            return augment(*self._read(image), self.spec, settings, rng)

        crop = scene(draw.image)
        if chance(settings.mixup):
            crop = mixup(crop, scene(int(rng.choice(partners))), rng)
        if chance(settings.copy_paste):
            other = augment(*self._read(int(rng.choice(partners))), self.spec, settings, rng)
            crop = copy_paste(*crop, *other, rng, settings.min_area)
        return crop

    def _mosaic(self, images: list[int], rng: np.random.Generator) -> Crop:
        """Windows of four images, each turned, scaled and relit by itself."""
        side = self.settings.crop
        windows = quarters(side, rng)
        parts = [
            augment(*self._read(images[i]), self.spec, self.settings, rng, (y1 - y0, x1 - x0))
            for i, (x0, y0, x1, y1) in zip(rng.permutation(4), windows, strict=True)
        ]
        return mosaic(parts, windows, side)


def stack(examples: Sequence[Example], spec: InputSpec) -> Batch:
    """Crops of one size as a batch: repeated over RGB, normalised, padded to the divisor with zeros.

    The original frame and the network frame are both the crop's.
    """
    side = examples[0][0].shape[0]
    padded = -(-side // spec.divisor) * spec.divisor
    shape = (len(examples), 3, padded, padded)
    images = torch.empty(shape, memory_format=torch.channels_last).zero_()
    pixels = images.permute(0, 2, 3, 1).numpy()  # (B, H, W, 3), the order in memory
    # Whole rows of the three channels in turn: (side * 3,)
    mean, gain = (np.tile(np.array(v, dtype=np.float32), side) for v in (spec.mean, 1 / np.array(spec.std)))
    for slot, (image, _) in zip(pixels, examples, strict=True):
        rgb = image if image.shape[2] == 3 else cv2.merge([image] * 3)
        rows = (np.ascontiguousarray(rgb).reshape(side, 3 * side) - mean) * gain
        slot[:side, :side] = rows.reshape(side, side, 3)
    sizes = [(side, side)] * len(examples)
    return Batch(images, sizes, list(sizes), [truth for _, truth in examples])


def always(_: int) -> bool:
    """Images are mixed at every step."""
    return True


def batches(
    data: TrainingSet,
    sampler: Sampler,
    step: int = 0,
    workers: int = 0,
    mixing: Callable[[int], bool] = always,
) -> Iterator[Batch]:
    """Training batches from optimiser step ``step`` on, endlessly; workers live across epochs.

    Args:
        data: what makes examples.
        sampler: which examples make a batch.
        step: the first step, counted over all epochs.
        workers: processes that augment; 0: this process does. They import the main module, so a script that
            trains with workers needs ``if __name__ == "__main__":``.
        mixing: whether a step's images are mixed; asked in this process, a few steps ahead of the training
            where there are workers.
    """
    drawn = _drawn(sampler, step, mixing)
    if workers == 0:
        for draws in drawn:
            yield stack([data[d] for d in draws], data.spec)
    else:
        loader = DataLoader(
            data,
            batch_sampler=drawn,  # an iterator without end
            num_workers=workers,
            collate_fn=partial(stack, spec=data.spec),
            worker_init_fn=_quiet_worker,
            multiprocessing_context=_start_method(),
            generator=torch.Generator(),  # its own: the global one belongs to the model
        )
        yield from loader


def _drawn(sampler: Sampler, step: int, mixing: Callable[[int], bool]) -> Iterator[list[Draw]]:
    """The sampler's batches, each told whether it is mixed when it is asked for."""
    for at, draws in enumerate(sampler.batches(step), step):
        mix = mixing(at)
        yield [draw._replace(mix=mix) for draw in draws]


def _start_method() -> str:
    """How workers start: not by forking, for threads of this process (TensorBoard, OpenCV) may hold locks."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def _quiet_worker(_: int) -> None:
    cv2.setNumThreads(1)
