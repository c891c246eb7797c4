from __future__ import annotations

from collections import Counter
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.augment import Augment
from delineate.data.loader import TrainingSet, batches, stack
from delineate.data.sampler import Draw, Sampler

SPEC = InputSpec(shortest_edge=None, longest_edge=None, divisor=16)
VARIED = Augment(crop=24, rotate=10, noise=0.1, copy_paste=0.5, mosaic=0.5, mixup=0.3)


class Squares:
    """Six images with as many squares as their number says; the first has none."""

    def __init__(self) -> None:
        self.reads: Counter[int] = Counter()

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> SimpleNamespace:
        self.reads[index] += 1
        labels = np.zeros((32, 40), np.int32)
        for i in range(index):
            labels[4:12, 6 * i : 6 * i + 5] = i + 1
        image = (labels > 0).astype(np.uint8) * (40 * index + 15)
        return SimpleNamespace(image=image, truth=Instances((32, 40), masks=Masks.from_label_image(labels)))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 5), st.integers(0, 20))
def test_every_image_once_before_any_twice(count: int, batch_size: int, epoch: int, seed: int) -> None:
    sampler = Sampler(count, batch_size, seed=seed)
    seen = Counter(sampler.order(epoch).tolist())
    assert sum(seen.values()) == sampler.steps * batch_size >= count
    assert max(seen.values()) - min(seen.get(i, 0) for i in range(count)) <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 25), st.sampled_from([1, 2, 3]))
def test_a_break_changes_nothing_and_processes_share_each_batch(step: int, world: int) -> None:
    alone = list(islice(Sampler(20, 6, seed=3).batches(), 30))
    shares = [islice(Sampler(20, 6, seed=3, rank=r, world=world).batches(step), 4) for r in range(world)]
    for expected, parts in zip(alone[step : step + 4], zip(*shares, strict=True), strict=True):
        assert sorted(d for part in parts for d in part) == sorted(expected)


def test_epochs_differ_and_seeds_differ() -> None:
    orders = {tuple(Sampler(50, 5, seed=s).order(e)) for s in range(3) for e in range(3)}
    assert len(orders) == 9


@pytest.mark.parametrize("power, rare", [(1.0, 0.1), (0.5, 0.25), (0.0, 0.5)])
def test_balance_between_groups(power: float, rare: float) -> None:
    groups = ["rare"] * 10 + ["common"] * 90
    sampler = Sampler(100, 10, samples_per_epoch=1000, groups=groups, power=power)
    assert (sampler.order(0) < 10).mean() == pytest.approx(rare, abs=0.01)


@pytest.mark.parametrize(
    "arguments, message",
    [((0, 4), "at least one image"), ((4, 3, 2), "a multiple of the 2 processes")],
)
def test_a_sampler_that_cannot_be(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sampler(*arguments[:2], world=arguments[2] if len(arguments) > 2 else 1)


def equal(left, right) -> bool:
    same = all(a.masks.to_rle() == b.masks.to_rle() for a, b in zip(left.targets, right.targets, strict=True))
    return same and torch.equal(left.images, right.images)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # where tests may use one core only
@pytest.mark.parametrize("cache", [False, True])
def test_workers_processes_and_breaks_change_nothing(cache: bool) -> None:
    def some(workers: int, step: int, count: int) -> list:
        data = TrainingSet(Squares(), SPEC, VARIED, seed=5, cache=cache)
        return list(islice(batches(data, Sampler(6, 3, seed=5), step, workers), count))

    straight = some(0, 0, 5)
    assert all(equal(a, b) for a, b in zip(straight[2:], some(0, 2, 3), strict=True))
    assert all(equal(a, b) for a, b in zip(straight[1:], some(2, 1, 4), strict=True))
    share = TrainingSet(Squares(), SPEC, VARIED, seed=5)
    second = next(batches(share, Sampler(6, 3, seed=5, rank=1, world=3)))
    assert torch.equal(second.images[0], straight[0].images[1])


def test_global_generators_are_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(islice(batches(TrainingSet(Squares(), SPEC, VARIED), Sampler(6, 3), workers=1), 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_cache_reads_each_image_once() -> None:
    source = Squares()
    data = TrainingSet(source, SPEC, VARIED, cache=True)
    list(islice(batches(data, Sampler(6, 3)), 8))
    assert set(source.reads.values()) == {1}


@pytest.mark.parametrize("name", ["copy_paste", "mosaic", "mixup"])
def test_images_are_mixed_with_their_own_group(name: str) -> None:
    source = Squares()
    settings_ = Augment(crop=24, **{name: 1.0})
    data = TrainingSet(source, SPEC, settings_, groups=["a", "a", "b", "b", "b", "b"])
    for position in range(20):
        data[Draw(0, position, 0)]
    assert set(source.reads) == {0, 1}


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2])
def test_mixing_ends_where_the_training_says(workers: int) -> None:
    def some(augment: Augment, step: int = 0, mixing=lambda step: step < 2) -> list:
        data = TrainingSet(Squares(), SPEC, augment, seed=5)
        return list(islice(batches(data, Sampler(6, 3, seed=5), step, workers, mixing), 4 - step))

    plain, closed = some(Augment(crop=24)), some(Augment(crop=24, mosaic=1.0, mixup=0.5, copy_paste=0.5))
    assert [equal(a, b) for a, b in zip(plain, closed, strict=True)] == [False, False, True, True]
    resumed = some(Augment(crop=24, mosaic=1.0, mixup=0.5, copy_paste=0.5), step=1)
    assert all(equal(a, b) for a, b in zip(closed[1:], resumed, strict=True))


def test_a_mosaic_shows_four_images() -> None:
    source = Squares()
    for position in range(4):
        image, truth = TrainingSet(source, SPEC, Augment(crop=64, mosaic=1.0))[Draw(0, position, 5)]
        assert image.shape == (64, 64, 3) and truth.size == (64, 64)
        np.testing.assert_array_equal(truth.boxes, truth.masks.boxes)
    assert len(source.reads) >= 4


def test_stack_normalises_and_pads() -> None:
    grey = np.full((20, 20, 1), 0.5, np.float32)
    colour = np.zeros((20, 20, 3), np.float32)
    batch = stack([(grey, Instances.empty((20, 20))), (colour, Instances.empty((20, 20)))], SPEC)
    assert batch.images.shape == (2, 3, 32, 32) and batch.images.is_contiguous(
        memory_format=torch.channels_last
    )
    assert batch.sizes == batch.originals == [(20, 20)] * 2
    np.testing.assert_allclose(batch.images[0, :, 0, 0], (0.5 - np.array(SPEC.mean)) / SPEC.std, rtol=1e-6)
    assert (batch.images[:, :, 20:] == 0).all() and (batch.images[:, :, :, 20:] == 0).all()
    assert [len(t) for t in batch.targets] == [0, 0]
