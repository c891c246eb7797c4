"""Training of the click network: windows around objects, and an annotator who corrects what it got wrong.

As in Sofiiuk et al. 2021 ("Reviving Iterative Training with Mask Guidance for Interactive Segmentation"): a
few clicks are made against the network's own masks without gradients, then one step is learned.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.data import color
from delineate.data.records import Dataset
from delineate.metrics.clicks import Click, next_click
from delineate.models.click_net import ClickNet

from .click_view import MEAN, STD, Box, View, hint_maps

log = logging.getLogger("delineate")

ROUNDS = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 6)  # clicks of a training step, drawn from these
SMALLEST = 12  # pixels of an object that is trained on


@dataclass(frozen=True)
class ClickSettings:
    """How the click network is trained.

    Attributes:
        minutes: wall-clock time.
        out: side of the views, in pixels; a multiple of 32.
        batch_size: views a step.
        lr: the highest learning rate; it rises for 3 % of the time and falls to zero along a cosine.
        seed: of every draw.
    """

    minutes: float = 20.0
    out: int = 96
    batch_size: int = 12
    lr: float = 1e-3
    seed: int = 0


@dataclass
class _Task:
    """One object in its view, and the clicks made on it so far."""

    pixels: NDArray[np.float32]  # (3, out, out)
    truth: NDArray[np.bool_]  # (out, out)
    clicks: list[Click]
    box: Box | None


class ClickSamples:
    """Draws of views around objects of several datasets, equally often from each group of images.

    Args:
        parts: datasets with the share of the draws that each gets.
        settings: sizes and seed.

    Raises:
        InputError: no objects at all.
    """

    def __init__(self, parts: Sequence[tuple[Dataset, float]], settings: ClickSettings) -> None:
        self.out, self.rng = settings.out, np.random.default_rng(settings.seed)
        self.groups: list[list[tuple[NDArray[Any], Masks]]] = []
        shares: list[float] = []
        for data, share in parts:
            found: dict[str, list[tuple[NDArray[Any], Masks]]] = {}
            kinds = data.groups.get("modality", [""] * len(data))
            for i, kind in enumerate(kinds):
                sample = data[i]
                truth = sample.truth[~sample.truth.crowd]
                if truth.masks is not None and (keep := truth.masks.area >= SMALLEST).any():
                    found.setdefault(kind, []).append((sample.image, truth.masks[keep]))
            self.groups += found.values()
            sizes = np.sqrt([len(members) for members in found.values()])
            shares += (share * sizes / max(sizes.sum(), 1)).tolist()
        if not self.groups:
            raise InputError("click training: expected objects with masks, got none; give annotated images")
        self.shares = np.array(shares) / sum(shares)

    def draw(self) -> _Task:
        """One object, seen from near or far, turned and relit."""
        rng = self.rng
        members = self.groups[int(rng.choice(len(self.groups), p=self.shares))]
        image, masks = members[int(rng.integers(len(members)))]
        one = masks[int(rng.integers(len(masks)))]
        view = self._view(one, image.shape[:2])
        truth = view.see(one) > 0.5
        pixels = _relit(view.pixels(image), rng)
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        pixels, truth = np.rot90(pixels, turn, axes=(1, 2)), np.rot90(truth, turn)
        if flip:
            pixels, truth = pixels[..., ::-1], truth[..., ::-1]
        box = _box_of(truth, rng) if rng.random() < 0.15 else None
        return _Task(np.ascontiguousarray(pixels), np.ascontiguousarray(truth), [], box)

    def _view(self, one: Masks, size: tuple[int, int]) -> View:
        """Half the time as a first click sees it, at the image's own scale; else zoomed to the object."""
        rng = self.rng
        box = one.boxes[0].tolist()
        longest = max(box[2] - box[0], box[3] - box[1])
        if rng.random() < 0.4:
            crop, (x0, y0) = one.crop(0)
            rows, columns = np.nonzero(crop)
            k = int(rng.integers(len(rows)))
            x, y = x0 + float(columns[k]), y0 + float(rows[k])
            side = round(160 * 2 ** rng.uniform(-0.5, 0.5))
            while side < 1.2 * longest:
                side *= 2
            return View.around((x, y, x, y), 1, side, size, self.out)
        side = max(24.0, longest * float(np.exp(rng.uniform(math.log(1.3), math.log(5)))))
        shift = rng.uniform(-0.3, 0.3, 2) * (side - longest)
        moved = (box[0] + shift[0], box[1] + shift[1], box[2] + shift[0], box[3] + shift[1])
        return View.around(moved, side / max(longest, 1), 24, size, self.out)


def _relit(pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """(3, H, W) with another light: gamma, contrast, colour, sometimes inverted, grey, blurred or noisy."""
    image = np.clip(pixels.transpose(1, 2, 0) * STD + MEAN, 0, 1)
    image = color.gamma(image, float(2 ** rng.uniform(-0.5, 0.5)))
    image = color.brightness_contrast(image, float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.7, 1.3)))
    if rng.random() < 0.5:
        image = color.color_gains(
            image, rng.uniform(0.8, 1.2, 3).astype(np.float32), float(rng.uniform(0, 1.5))
        )
    if rng.random() < 0.1:
        image = 1 - image
    if rng.random() < 0.2:
        image = color.blur(image, float(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.2:
        image = color.noise(image, float(rng.uniform(0, 0.06)), rng)
    return ((np.clip(image, 0, 1) - MEAN) / STD).transpose(2, 0, 1).astype(np.float32)


def _box_of(truth: NDArray[np.bool_], rng: np.random.Generator) -> Box | None:
    """A box as somebody draws it, up to a tenth off at each side."""
    rows, columns = (np.flatnonzero(truth.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    tight = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    extent = np.array([tight[2] - tight[0], tight[3] - tight[1]] * 2)
    x1, y1, x2, y2 = (tight + rng.uniform(-0.1, 0.1, 4) * extent).tolist()
    return x1, y1, x2, y2


def train_clicks(
    net: ClickNet,
    samples: ClickSamples,
    settings: ClickSettings,
    say: Callable[[str], object] = log.info,
    keep: Callable[[ClickNet], object] | None = None,
) -> int:
    """Train in place; the norms keep their statistics.

    Args:
        net: the network, perhaps with a trained trunk.
        samples: where views come from.
        settings: how long and how fast.
        say: told the mean loss now and then.
        keep: given the averaged network every 100 steps, to be written.

    Returns:
        Steps done.
    """
    torch.manual_seed(settings.seed)
    net.eval().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), settings.lr, weight_decay=1e-4)
    average = copy.deepcopy(net)
    start, step, recent = time.monotonic(), 0, []
    while (done := (time.monotonic() - start) / (60 * settings.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * min(1.0, done / 0.03 + 0.01) * (0.5 + 0.5 * math.cos(math.pi * done))
        loss = _loss(net, samples, settings.batch_size)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        _follow(average, net)
        step += 1
        recent.append(float(loss.detach()))
        if step % 50 == 0:
            say(f"{100 * done:.0f} %, step {step}, loss {np.mean(recent):.4f}")
            recent.clear()
        if keep is not None and step % 100 == 0:
            keep(average)
    net.load_state_dict(average.state_dict())
    return step


def _follow(average: ClickNet, net: ClickNet, decay: float = 0.99) -> None:
    """The weights' moving average, one step on."""
    with torch.no_grad():
        for kept, now in zip(average.parameters(), net.parameters(), strict=True):
            kept.lerp_(now, 1 - decay)


def _loss(net: ClickNet, samples: ClickSamples, count: int) -> Tensor:
    """Cross entropy and soft IoU of a batch, after some rounds of clicks."""
    rng = samples.rng
    tasks = [samples.draw() for _ in range(count)]
    images = torch.from_numpy(np.stack([t.pixels for t in tasks])).to(memory_format=torch.channels_last)
    truth = torch.from_numpy(np.stack([t.truth for t in tasks])[:, None]).float()
    before = np.zeros((count, samples.out, samples.out), np.float32)
    rounds = int(rng.choice(ROUNDS))
    for i in range(rounds):
        _click(tasks, before, rng)
        if i + 1 < rounds or rng.random() < 0.25:  # the last now and then looks twice at the same clicks
            with torch.no_grad():
                before = net(images, _hints(tasks, before)).sigmoid()[:, 0].numpy()
    before[rng.random(count) < 0.15] = 0
    logits = net(images, _hints(tasks, before)).float()
    probability = logits.sigmoid()
    shared = (probability * truth).sum((1, 2, 3))
    union = (probability + truth).sum((1, 2, 3)) - shared
    loss: Tensor = F.binary_cross_entropy_with_logits(logits, truth) + (1 - (shared + 1) / (union + 1)).mean()
    return loss


def _hints(tasks: Sequence[_Task], before: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(
        np.stack([hint_maps(len(b), t.clicks, b, t.box) for t, b in zip(tasks, before, strict=True)])
    )


def _click(tasks: Sequence[_Task], before: NDArray[np.float32], rng: np.random.Generator) -> None:
    """One more click on each object, not always in the very middle of what is wrong."""
    for task, probability in zip(tasks, before, strict=True):
        if task.box is not None and not task.clicks and rng.random() < 0.5:
            continue  # a box may stand alone
        click = next_click(probability > 0.5, task.truth, task.clicks)
        if click is None:
            continue
        x, y = click.x, click.y
        if rng.random() < 0.5:  # an annotator's hand
            near = rng.normal(0, 2, 2)
            column, row = (
                int(np.clip(v + d, 0, len(task.truth) - 1)) for v, d in zip((x, y), near, strict=True)
            )
            if task.truth[row, column] == click.positive:
                x, y = column + 0.5, row + 0.5
        task.clicks.append(Click(x, y, click.positive))
