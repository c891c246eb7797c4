"""Stuff among objects: as training sees it, each class of stuff in an image is one more object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .instances import Instances
from .masks import Masks
from .panoptic import Panoptic
from .semantic import VOID, Semantic


def whole(segments: Panoptic | Semantic) -> Instances:
    """Every segment as an object, stuff too.

    Of classes of pixels each class that occurs is one object; where it is a thing the object stands for a
    group (``crowd``), for nobody knows how many there are.

    Example:
        >>> from delineate.core.labels import Labels
        >>> found = whole(Semantic([[0, 0, 1, -1]], Labels(("car", "sky"), things=(True, False))))
        >>> found.names, found.crowd.tolist(), found.area.tolist()
        (['car', 'sky'], [True, False], [2.0, 1.0])
    """
    if isinstance(segments, Panoptic):
        return Instances(
            segments.size,
            labels=segments.labels,
            masks=segments.masks(),
            ids=segments.ids,
            crowd=segments.crowd,
            classes=segments.classes,
        )
    labels = np.flatnonzero(segments.area)
    things = np.array(segments.classes.things, dtype=np.bool_)
    masks = Masks.from_label_image(segments.map.astype(np.int32) + 1, labels + 1)
    return Instances(
        segments.size, labels=labels, masks=masks, crowd=things[labels], classes=segments.classes
    )


def is_thing(objects: Instances) -> NDArray[np.bool_]:
    """(N,) True for things."""
    return np.array(objects.classes.things, dtype=np.bool_)[objects.labels]


def things_of(objects: Instances) -> Instances:
    """The things alone."""
    return objects if all(objects.classes.things) else objects[is_thing(objects)]


def joined(objects: Instances) -> Instances:
    """The objects with all stuff of a class in one, which stands where the first of them stood.

    Example:
        >>> from delineate.core.labels import Labels
        >>> masks = Masks.from_label_image([[1, 2, 3]])
        >>> sky = Labels(("sky", "car"), things=(False, True))
        >>> one = joined(Instances((1, 3), labels=[0, 1, 0], masks=masks, classes=sky))
        >>> one.names, one.boxes.tolist()
        (['sky', 'car'], [[0.0, 0.0, 3.0, 1.0], [1.0, 0.0, 2.0, 1.0]])
    """
    stuff = ~is_thing(objects)
    if objects.masks is None or len(np.unique(objects.labels[stuff])) == stuff.sum():
        return objects
    first: dict[int, int] = {}
    kept: list[int] = []
    group = np.zeros(len(objects), dtype=np.int64)
    for i, (label, thing) in enumerate(zip(objects.labels.tolist(), (~stuff).tolist(), strict=True)):
        if not thing and label in first:
            group[i] = first[label]
            continue
        group[i] = len(kept)
        kept.append(i)
        if not thing:
            first[label] = int(group[i])
    masks = objects.masks.merge(group)
    boxes = np.where(stuff[kept][:, None], masks.boxes, objects.boxes[kept])
    return objects[kept].replace(masks=masks, boxes=boxes, areas=None)


def class_of_pixels(objects: Instances) -> NDArray[np.int16]:
    """(H, W) the class of every pixel, -1 where there is no object; things lie on top of stuff.

    Raises:
        InputError: objects without masks.
    """
    if not len(objects):
        return np.full(objects.size, VOID, dtype=np.int16)
    image = objects._masks("class_of_pixels").to_label_image(
        order=np.argsort(is_thing(objects), kind="stable")
    )
    return np.concatenate([[VOID], objects.labels]).astype(np.int16)[image]
