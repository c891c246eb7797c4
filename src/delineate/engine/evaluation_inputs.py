"""The two sides of an evaluation: a dataset's truth, and whoever predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.image_model import ImageModel
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.data.formats.coco_truth import decode
from delineate.data.images import read_size
from delineate.data.records import Dataset

from .given_results import as_instances
from .stored import ImageEntry, Predictions


@dataclass(frozen=True)
class Truth:
    """A dataset, or a plain sequence of samples, asked in one way.

    Attributes:
        samples: what was given.
        classes: the classes that are scored.
        groups: one name per image; empty names where no groups were asked for.
    """

    samples: Any
    classes: Labels
    groups: list[str]

    @classmethod
    def of(cls, dataset: Any, *, split: str | None, by: str | None, with_images: bool) -> Truth:
        """Of a :class:`Dataset`, a path to one, or samples with ``image`` and ``truth``.

        Raises:
            InputError: nothing to score, or no such column ``by``.
        """
        if isinstance(dataset, str | Path):
            from delineate.data.dataset import open_dataset

            dataset = open_dataset(dataset, split=split, images=None if with_images else False)
        elif split is not None:
            dataset = dataset.select(split=split)
        if not len(dataset):
            raise InputError(
                "evaluate: expected at least one image, got an empty dataset; check path and split"
            )
        columns: Mapping[str, list[str]] = getattr(dataset, "groups", {})
        if by is not None and by not in columns:
            known = ", ".join(columns) or "no columns"
            raise InputError(f"evaluate, by: expected a column of the dataset, got {by!r}; it has {known}")
        groups = [name or "(none)" for name in columns[by]] if by else [""] * len(dataset)
        classes = getattr(dataset, "classes", None) or dataset[0].truth.classes
        return cls(dataset, classes, groups)

    def __len__(self) -> int:
        return len(self.samples)

    def entry(self, index: int) -> ImageEntry:
        """Id, name and size of an image, without decoding it where the dataset allows."""
        if isinstance(self.samples, Dataset):
            record = self.samples.records[index]
            return ImageEntry(record.image_id, record.name, record.size or read_size(record.path))
        sample = self.samples[index]
        return ImageEntry(getattr(sample, "image_id", index + 1), self.name(index), sample.truth.size)

    def name(self, index: int) -> str:
        """What to call an image in messages."""
        if isinstance(self.samples, Dataset):
            return self.samples.records[index].name
        return str(getattr(self.samples[index], "name", f"image {index + 1}"))

    def truth(self, index: int) -> Instances:
        """The true objects of an image."""
        return self.samples.truth(index) if isinstance(self.samples, Dataset) else self.samples[index].truth

    def image(self, index: int) -> Any:
        """The pixels of an image."""
        return self.samples[index].image

    def check_segments(self, metrics: Sequence[str]) -> None:
        """Refuse data with objects alone.

        Raises:
            InputError: the data does not say what every pixel is.
        """
        able = getattr(self.samples, "segments", None) is not None
        if isinstance(self.samples, Dataset) and not able:
            raise InputError(
                f"{self.where}: expected things and stuff of every pixel for {' and '.join(metrics)}, got "
                f"{self.samples.format}, which has objects alone; give for example a COCO panoptic file"
            )
        if not all(hasattr(self.samples, name) for name in metrics):
            raise InputError(
                f"evaluate, metrics: expected a dataset with segments for {' and '.join(metrics)}, got "
                f"{type(self.samples).__name__}; open one with open_dataset"
            )

    def panoptic(self, index: int) -> Panoptic:
        """The true segments of an image."""
        found: Panoptic = self.samples.panoptic(index)
        return found

    def semantic(self, index: int) -> Semantic:
        """The true class of every pixel of an image."""
        found: Semantic = self.samples.semantic(index)
        return found

    def matchable(self) -> set[tuple[int, int]]:
        """Image and category ids of the true objects of a COCO dataset; empty elsewhere."""
        if not isinstance(self.samples, Dataset) or self.samples.decode is not decode:
            return set()
        ids = self.classes.ids
        return {(r.image_id, ids[a.label]) for r in self.samples.records for a in r.annotation}

    def exact_boxes(self, index: int) -> list[list[float] | None]:
        """Boxes as a COCO file annotates them, xywh in float64, None for the mask's own; [] elsewhere."""
        if not isinstance(self.samples, Dataset) or self.samples.format not in ("COCO", "LVIS"):
            return []
        boxes = [annotation.box for annotation in self.samples.records[index].annotation]
        return [None if b is None else [b[0], b[1], b[2] - b[0], b[3] - b[1]] for b in boxes]

    def describe(self) -> str:
        """One line on the dataset."""
        return self.samples.describe() if isinstance(self.samples, Dataset) else f"{len(self)} samples"

    @property
    def where(self) -> str:
        """The dataset's path, for messages."""
        return str(self.samples.source) if isinstance(self.samples, Dataset) else "evaluate"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the dataset's reader corrected or doubts."""
        return self.samples.notes if isinstance(self.samples, Dataset) else ()


def caller(
    predictor: Any, confidence: float | None, max_det: int | None, classes: Labels | None = None
) -> Callable[[Any], Instances]:
    """A function from image to objects.

    Args:
        predictor: has ``predict``, or is a network or an exported graph, or is such a function already.
        confidence: passed on to a model; None leaves it its default.
        max_det: the same.
        classes: the dataset's, by which other tools' results are understood; None takes ``Instances`` alone.

    Raises:
        InputError: none of these.
    """
    given = {"confidence": confidence, "max_det": max_det}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if hasattr(predictor, "predict"):
        return _checked(lambda image: predictor.predict(image, **settings), classes)
    if isinstance(predictor, ImageModel):
        from .predict import predict

        return _checked(lambda image: predict(predictor, image, **settings), classes)
    if not callable(predictor):
        raise InputError(
            f"predictor: expected a model, a callable, predictions or a path to them, got "
            f"{type(predictor).__name__}; load a model with delineate.load"
        )
    return _checked(predictor, classes)


def _checked(call: Callable[[Any], Any], classes: Labels | None) -> Callable[[Any], Instances]:
    def predict(image: Any) -> Instances:
        found = call(image)
        if classes is not None:
            found = as_instances(found, np.shape(image)[:2], classes)
        if not isinstance(found, Instances):
            raise InputError(
                f"predictor: expected Instances, got {type(found).__name__}; make them with "
                "Instances.from_supervision or Instances.from_torchvision"
            )
        return found

    return predict


def in_classes(found: Instances, classes: Labels) -> tuple[Instances, int]:
    """Detections with the indices of ``classes``, matched by name, and how many had no such class.

    Where each side has one class the names need not agree.

    Raises:
        InputError: no class in common.
    """
    if found.classes == classes:
        return found, 0
    mapping = index_of_classes(found.classes, classes)
    known = mapping[found.labels] >= 0
    kept = found[known]
    relabelled = Instances(
        kept.size,
        boxes=kept.boxes,
        labels=mapping[kept.labels],
        scores=kept.scores,
        masks=kept.masks,
        classes=classes,
    )
    return relabelled, int((~known).sum())


def index_of_classes(found: Labels, classes: Labels) -> NDArray[np.int64]:
    """Per class of ``found`` its index in ``classes``, by name whatever the case; -1 where there is none.

    Where each side has one class the names need not agree.

    Raises:
        InputError: no class in common.
    """
    index = {name.casefold(): k for k, name in enumerate(classes.names)}
    mapping = np.array([index.get(name.casefold(), -1) for name in found.names], dtype=np.int64)
    if len(classes) == len(found) == 1:
        mapping[:] = 0
    if (mapping < 0).all():
        raise InputError(
            f"classes: expected some of {_list(classes)} as the data has, got {_list(found)}; "
            "evaluate on data with the model's classes"
        )
    return mapping


def name_of(predictor: Any) -> str:
    """What to call a predictor in a report."""
    if isinstance(predictor, Predictions):
        return str(predictor.source)
    for name in ("name", "family", "__name__"):
        if isinstance(getattr(predictor, name, None), str):
            return str(getattr(predictor, name))
    return type(predictor).__name__


def _list(classes: Labels) -> str:
    return ", ".join(classes.names[:5]) + (", .." if len(classes) > 5 else "")
