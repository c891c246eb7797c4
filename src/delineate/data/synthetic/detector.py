"""A simulated detector: the truth of a synthetic video with the errors that crowds bring, at stated rates.

Trackers are judged on what detectors give them. This one errs as it is told to, so that each error's part in
a tracker's score can be seen. Errors last: what is missed or merged in a frame is likely missed or merged in
the next one too, as with real models. The latent number behind each error follows a first-order
autoregression with a standard normal law in each frame (Box and Jenkins, "Time Series Analysis", 1970,
section 3.2), and an error happens while the number lies below the quantile of its rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import erf, sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .scene import Seed, numbers
from .video import Video

Ints = NDArray[np.int64]
LEAST = 8  # visible pixels from which an object can be found at all
WEAKEST = 0.1  # the lowest score that is given
PAD = 5  # pixels around a mask in which its outline may err
COARSE = 2.0  # sigma in pixels of the field by which an outline errs


@dataclass(frozen=True)
class DetectorSettings:
    """How a simulated detector errs. ``h`` is the hidden part of an object, 0..1.

    Attributes:
        miss: chance that an object in full view is not found at all.
        hidden_miss: the chance becomes miss + hidden_miss x h x h.
        weak: chance that an object in full view is found with a score of 0.1 to 0.5; hidden, weak + h / 4.
            All others score 0.5 to 1.
        merge: chance that two objects of a class whose border in common is as long as the side of a square of
            the smaller one's area come out as one mask; proportional to that length, up to the double.
        double: chance that an object is found twice, the second time with a lower score.
        false_alarms: spurious objects a frame on average, with scores of 0.1 to 0.65. They stay in one place
            and are seen again in the next frame with a chance of ``memory``.
        jitter: pixels (sigma) by which outlines err, coarsely.
        memory: correlation of an object's errors with those of the frame before.

    Raises:
        InputError: a value out of range.
    """

    miss: float = 0.02
    hidden_miss: float = 0.6
    weak: float = 0.08
    merge: float = 0.12
    double: float = 0.02
    false_alarms: float = 1.0
    jitter: float = 0.8
    memory: float = 0.85

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            high = {"false_alarms": 1000.0, "jitter": 20.0}.get(field.name, 1.0)
            if not 0 <= value <= high:
                raise InputError(
                    f"simulated detector, {field.name}: expected 0 to {high:g}, got {value}; correct it"
                )


@dataclass(frozen=True, eq=False)
class Detected:
    """What the detector says of one frame.

    Attributes:
        truth: the true objects that show, front to back, with ``ids``; those of which less than a tenth or
            fewer than 8 pixels show are ``crowd``, so that no score asks for them.
        found: the detections, without ids, in an order that tells nothing.
        members: per detection, the ids of the objects under it: none for a false alarm, two or more where
            objects are merged.
    """

    truth: Instances
    found: Instances
    members: tuple[tuple[int, ...], ...]


def detect(video: Video, settings: DetectorSettings | None = None, seed: Seed = 0) -> Iterator[Detected]:
    """Runs the simulated detector over a video, frame by frame; nothing is painted.

    Args:
        video: of :func:`~delineate.data.synthetic.video.crowd_video`.
        settings: how it errs; default :class:`DetectorSettings`.
        seed: an integer >= 0, or several; the same seed gives the same detections.

    Example:
        >>> from delineate.data.synthetic import SceneSettings, crowd_video
        >>> video = crowd_video(1, SceneSettings(size=(64, 96), objects=8), frames=2)
        >>> perfect = DetectorSettings(0, 0, 0, 0, 0, 0, 0)
        >>> [len(d.found) == len(d.truth) for d in detect(video, perfect)]
        [True, True]
    """
    settings = settings or DetectorSettings()
    rng = np.random.default_rng([*numbers(seed), 3])
    memory = _Memory(settings.memory, rng)
    for t in range(len(video)):
        truth, visible = video.truth(t)
        yield _frame(truth, visible, settings, memory, rng)


@dataclass(frozen=True, eq=False)
class _Alarm:
    """A spurious object."""

    mask: Masks
    label: int
    score: float


class _Memory:
    """What lasts: the latent numbers behind errors, by object or pair, and the false alarms."""

    def __init__(self, correlation: float, rng: np.random.Generator) -> None:
        self._keep, self._rng = correlation, rng
        self._numbers: dict[Any, float] = {}
        self._alarms: list[_Alarm] | None = None

    def alarms(self, truth: Instances, number: float) -> list[_Alarm]:
        """The spurious objects of this frame, ``number`` on average."""
        first = self._alarms is None
        stay = [a for a in self._alarms or () if self._rng.random() < self._keep]
        fresh = self._rng.poisson(number * (1 if first else 1 - self._keep))
        self._alarms = stay + [_blob(truth, self._rng) for _ in range(fresh)]
        return self._alarms

    def step(self, keys: list[Any]) -> dict[Any, float]:
        """(key: quantile in 0..1) of this frame."""
        fresh = self._rng.standard_normal(len(keys))
        new = sqrt(1 - self._keep**2)
        self._numbers = {
            key: self._keep * self._numbers[key] + new * e if key in self._numbers else float(e)
            for key, e in zip(keys, fresh.tolist(), strict=True)
        }
        return {key: 0.5 * (1 + erf(z / sqrt(2))) for key, z in self._numbers.items()}


def _frame(
    truth: Instances,
    visible: NDArray[np.float64],
    settings: DetectorSettings,
    memory: _Memory,
    rng: np.random.Generator,
) -> Detected:
    assert truth.masks is not None and truth.ids is not None
    area = truth.masks.area
    slight = (visible < 0.1) | (area < LEAST)
    first, second, contact = _contacts(truth)
    ids = truth.ids.tolist()
    pairs = [(ids[i], ids[j]) for i, j in zip(first.tolist(), second.tolist(), strict=True)]
    lasting = memory.step([*ids, *pairs])
    scores = _scores(np.array([lasting[i] for i in ids]), 1 - visible, settings)
    scores[area < LEAST] = 0
    rates = settings.merge * np.minimum(contact, 2)
    joined = np.array([lasting[p] for p in pairs]) < rates if pairs else np.zeros(0, np.bool_)
    groups = _groups(len(ids), first[joined], second[joined], scores > 0)
    groups += [g for g in groups if len(g) == 1 and rng.random() < settings.double]  # found twice
    crops, corners, found_scores, labels, members = [], [], [], [], []
    seen: set[int] = set()
    for group in groups:
        mask = truth.masks[np.array(group)].union()
        crop, corner = _redrawn(mask, settings.jitter, rng)
        crops.append(crop)
        corners.append(corner)
        score = float(scores[group].max())
        again = group[0] in seen
        found_scores.append(max(WEAKEST, score * (0.3 + 0.6 * rng.random())) if again else score)
        labels.append(int(truth.labels[group[0]]))
        members.append(tuple(ids[k] for k in group))
        seen.update(group)
    for alarm in memory.alarms(truth, settings.false_alarms):
        crop, corner = _redrawn(alarm.mask, settings.jitter, rng)
        crops.append(crop)
        corners.append(corner)
        found_scores.append(float(np.clip(alarm.score + 0.05 * rng.standard_normal(), WEAKEST, 0.65)))
        labels.append(alarm.label)
        members.append(())
    masks = Masks.from_crops(crops, np.array(corners, np.int64).reshape(-1, 2), truth.size)
    shown = rng.permutation(len(masks))
    shown = shown[masks.area[shown] > 0]
    found = Instances(
        truth.size,
        labels=np.array(labels, np.int64)[shown],
        scores=np.array(found_scores, np.float32)[shown],
        masks=masks[shown],
        classes=truth.classes,
    )
    return Detected(truth.replace(crowd=slight), found, tuple(members[k] for k in shown.tolist()))


def _scores(quantile: NDArray[Any], hidden: NDArray[Any], s: DetectorSettings) -> NDArray[np.float64]:
    """(N,) scores, 0 for what is missed: an object's score sinks before it is lost, as with real models."""
    lost = np.minimum(s.miss + s.hidden_miss * hidden**2, 1)
    weak = np.minimum(lost + s.weak + (hidden / 4 if s.weak else 0), 1)
    faint = WEAKEST + (0.5 - WEAKEST) * (quantile - lost) / np.maximum(weak - lost, 1e-9)
    clear = 0.5 + 0.5 * (quantile - weak) / np.maximum(1 - weak, 1e-9)
    result: NDArray[np.float64] = np.where(quantile < lost, 0.0, np.where(quantile < weak, faint, clear))
    return np.clip(result, 0, 1)


def _contacts(truth: Instances) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Pairs of one class that touch, and their border in common over the side of the smaller one's square."""
    assert truth.masks is not None
    labels = truth.masks.to_label_image()
    codes = []
    for one, other in ((labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])):
        low, high = np.minimum(one, other), np.maximum(one, other)
        edge = (low != high) & (low > 0)
        codes.append(low[edge].astype(np.int64) * (len(truth) + 1) + high[edge])
    code, length = np.unique(np.concatenate(codes), return_counts=True)
    first, second = code // (len(truth) + 1) - 1, code % (len(truth) + 1) - 1
    same = truth.labels[first] == truth.labels[second]
    first, second, length = first[same], second[same], length[same]
    area = truth.masks.area
    # a slanting border counts its steps; 4 / pi of its length on average
    return first, second, length * (np.pi / 4) / np.sqrt(np.minimum(area[first], area[second]))


def _groups(count: int, first: Ints, second: Ints, found: NDArray[np.bool_]) -> list[list[int]]:
    """The objects under each detection; a merger is found where one of its members is."""
    root = list(range(count))

    def top(k: int) -> int:
        while root[k] != k:
            k = root[k]
        return k

    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        root[max(top(i), top(j))] = min(top(i), top(j))
    groups: dict[int, list[int]] = {}
    for k in range(count):
        groups.setdefault(top(k), []).append(k)
    return [g for g in groups.values() if found[g].any()]


def _redrawn(mask: Masks, jitter: float, rng: np.random.Generator) -> tuple[NDArray[np.bool_], list[int]]:
    """One mask with its outline moved to and fro by a smooth random field."""
    crop, (x0, y0) = mask.crop(0)
    if not jitter:
        return crop, [x0, y0]
    pixels = np.pad(crop, PAD).astype(np.uint8)
    inside = cv2.distanceTransform(pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    strong = rng.standard_normal(pixels.shape) * (jitter * 2 * sqrt(np.pi) * COARSE)
    noise = cv2.GaussianBlur(strong, (0, 0), COARSE)  # leaves 1 / (2 sqrt(pi) sigma) of the deviation
    grown = np.where(pixels > 0, inside - 0.5, 0.5 - outside) > np.clip(noise, -PAD, PAD)
    number, parts, sizes, _ = cv2.connectedComponentsWithStats(grown.astype(np.uint8), connectivity=4)
    if number > 2:
        grown &= sizes[parts, cv2.CC_STAT_AREA] > 0.1 * grown.sum()  # no crumbs
    return grown, [x0 - PAD, y0 - PAD]


def _blob(truth: Instances, rng: np.random.Generator) -> _Alarm:
    """A spurious object: an ellipse of about the median size, anywhere."""
    assert truth.masks is not None
    side = float(np.sqrt(np.median(truth.masks.area))) if len(truth) else 12.0
    half = np.maximum(side * (0.4 + 0.4 * rng.random(2)), 2)
    y, x = np.mgrid[-int(half[1]) : int(half[1]) + 1, -int(half[0]) : int(half[0]) + 1]
    inside = (x / half[0]) ** 2 + (y / half[1]) ** 2 <= 1
    corner = rng.integers(0, np.array(truth.size[::-1]))
    mask = Masks.from_crops([inside], (corner - half.astype(np.int64))[None], truth.size)
    label, score = int(rng.integers(len(truth.classes))), WEAKEST + 0.5 * float(rng.random())
    return _Alarm(mask, label, score)
