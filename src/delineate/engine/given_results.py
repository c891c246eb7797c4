"""What any tool's Python gives for an image, as :class:`Instances` in a dataset's classes.

Recognised by what it has, so that no tool need be installed: ``Instances``; supervision's ``Detections``
(``xyxy``, ``class_id``, ``confidence``, ``mask``, ``data["class_name"]``); torchvision's dicts (``boxes``,
``labels``, ``scores``, ``masks``), alone or as a list of one; a label image, alone or first of a tuple, as
StarDist and Cellpose give it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from .stored import ImageEntry, Predictions

_log = logging.getLogger("delineate.engine")


class GivenResults(Predictions):
    """Results in memory, one per image of the dataset, in its order.

    Args:
        results: of any kind that :func:`as_instances` takes.
        images: the dataset's images.
        classes: the dataset's classes.

    Raises:
        InputError: not as many results as images.
    """

    def __init__(self, results: Sequence[Any], images: Sequence[ImageEntry], classes: Labels) -> None:
        if len(results) != len(images):
            raise InputError(
                f"predictor: expected one result per image, {len(images)}, got {len(results)}; give them in "
                "the dataset's order, an empty one where nothing was found"
            )
        kinds = ", ".join(dict.fromkeys(type(result).__name__ for result in results))
        super().__init__(
            Path(f"list of {kinds}"), classes, (), f"results in memory: {len(results)} of {kinds}"
        )
        self._results = {image.id: result for image, result in zip(images, results, strict=True)}

    def instances(self, image: ImageEntry) -> Instances:
        """The objects given for ``image``.

        Raises:
            InputError: a result of no known kind, or of another size.
        """
        from .evaluation_inputs import in_classes

        found, foreign = in_classes(
            as_instances(self._results[image.id], image.size, self.classes), self.classes
        )
        if foreign:
            _log.warning("detections of classes that the data does not have were not scored")
        return found


def as_instances(found: Any, size: tuple[int, int], classes: Labels) -> Instances:
    """One image's result of any tool.

    Classes are matched as the tool tells them. Names (``Instances``; supervision's ``data["class_name"]``)
    stand for themselves. supervision's ``class_id`` without names is the place in ``classes``, from 0.
    torchvision's ``labels``, where 0 is background, are the ids of ``classes`` (COCO's own for its published
    weights, 1, 2, .. for others); where these begin at 0, the place from 1 on. A label image has one class.
    What is none of ``classes`` keeps a name of its own.

    Args:
        found: see above.
        size: (height, width) of the image.
        classes: the dataset's classes.

    Raises:
        InputError: of no known kind, or its fields do not fit each other.

    Example:
        >>> as_instances(np.array([[0, 1], [2, 2]]), (2, 2), Labels(("cell",))).masks.area.tolist()
        [1, 2]
    """
    if isinstance(found, list | tuple) and len(found) == 1:
        found = found[0]
    if isinstance(found, Instances):
        return found
    if hasattr(found, "xyxy") and hasattr(found, "class_id"):
        return _from_supervision(found, size, classes)
    if isinstance(found, Mapping) and {"boxes", "labels"} <= set(found):
        return _from_torchvision(found, size, classes)
    first = found[0] if isinstance(found, tuple) and found else found
    if getattr(first, "ndim", 0) == 2 and hasattr(first, "dtype"):
        labels = np.asarray(first)
        if labels.dtype.kind in "iub":
            return Instances(
                (int(labels.shape[0]), int(labels.shape[1])),
                masks=Masks.from_label_image(labels),
                classes=classes,
            )
    raise InputError(
        "predictor: expected Instances, supervision.Detections, a torchvision dict or a label image (H, W) "
        f"of integers, got {_shown(found)}; convert it to one of these"
    )


def _from_supervision(found: Any, size: tuple[int, int], classes: Labels) -> Instances:
    from delineate.core.convert.supervision import from_supervision

    count = len(found.xyxy)
    given = found.class_id
    ids = np.zeros(count, np.int64) if given is None else np.asarray(given).reshape(-1).astype(np.int64)
    names = (getattr(found, "data", None) or {}).get("class_name")
    if names is not None and len(names) == count:
        told = [str(name) for name in names]
    else:
        told = [classes.name(i) if 0 <= i < len(classes) else f"class {i}" for i in ids.tolist()]
    labels, known = _labelled(told, classes)
    return from_supervision(_Detections(found, labels), size, known)


class _Detections:
    """Detections with other class numbers."""

    def __init__(self, found: Any, class_id: NDArray[np.int64]) -> None:
        self.xyxy, self.class_id, self.data = np.asarray(found.xyxy).reshape(-1, 4), class_id, None
        self.mask, self.confidence = getattr(found, "mask", None), getattr(found, "confidence", None)
        self.tracker_id = None


def _from_torchvision(found: Mapping[str, Any], size: tuple[int, int], classes: Labels) -> Instances:
    from delineate.core.convert.torchvision import from_torchvision

    numbers = [int(label) for label in found["labels"]]
    if min(numbers, default=1) < 1:
        raise InputError(
            "predictor: expected torchvision labels from 1 on, got 0 or less; 0 is background there"
        )
    ids = list(classes.ids) if min(classes.ids, default=1) > 0 else list(range(1, len(classes) + 1))
    index = {number: k for k, number in enumerate(ids)}
    told = [classes.name(index[n]) if n in index else f"class {n}" for n in numbers]
    labels, known = _labelled(told, classes)
    masks = found.get("masks")
    bare = {key: value for key, value in found.items() if key != "masks"} if masks is None else found
    return from_torchvision({**bare, "labels": labels + 1}, size, known)


def _labelled(told: Sequence[str], classes: Labels) -> tuple[NDArray[np.int64], Labels]:
    """Indices of class names, and ``classes`` with the names that it lacks behind its own."""
    by_name = {name.casefold(): k for k, name in reversed(list(enumerate(classes.names)))}
    more = list(dict.fromkeys(name for name in told if name.casefold() not in by_name))
    if len(classes) == 1 and len({name.casefold() for name in told}) == 1:  # one class on each side
        return np.zeros(len(told), np.int64), classes
    by_name |= {name.casefold(): len(classes) + k for k, name in enumerate(more)}
    free = max(classes.ids, default=0) + 1
    known = replace(
        classes,
        names=(*classes.names, *more),
        ids=(*classes.ids, *range(free, free + len(more))),
        things=(*classes.things, *[True] * len(more)),
    )
    return np.array([by_name[name.casefold()] for name in told], np.int64), known


def _shown(found: Any) -> str:
    shape = getattr(found, "shape", None)
    if shape is not None:
        return f"{getattr(found, 'dtype', type(found).__name__)} of shape {tuple(shape)}"
    if isinstance(found, Mapping):
        return f"a dict with {', '.join(map(repr, list(found)[:4])) or 'no keys'}"
    return (
        f"{type(found).__name__} of {len(found)}" if isinstance(found, list | tuple) else type(found).__name__
    )
