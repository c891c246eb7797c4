"""Objects and stuff of one image as segments that do not overlap.

Kirillov et al. 2019, "Panoptic Feature Pyramid Networks", section 3.3, after section 4.1 of the same
authors' "Panoptic Segmentation": objects compete by score, objects win over stuff, small stuff goes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .instances import Instances
from .panoptic import Panoptic


def merge(
    objects: Instances, stuff: NDArray[np.int16], *, visible: float = 0.5, least: float = 0.01
) -> Panoptic:
    """Segments of objects and stuff.

    Objects take their pixels in the order of their scores, each what is still free. One of which less than
    ``visible`` of its own mask is free is left out. Stuff fills what no object has.

    Args:
        objects: things with masks; they may overlap. Objects of stuff classes take no part.
        stuff: (H, W) int16 class of stuff of each pixel; -1, or a thing's class, for none.
        visible: see above, 0..1.
        least: a class of stuff needs so much of the image's pixels that no object has, 0..1, to stay.

    Returns:
        The objects, best first, then the stuff in the order of its classes, with score 1.

    Raises:
        InputError: another size of ``stuff``, or objects without masks.

    Example:
        >>> from delineate.core.labels import Labels
        >>> from delineate.core.masks import Masks
        >>> classes = Labels(("cup", "table"), things=(True, False))
        >>> cups = Instances((1, 4), scores=[0.9, 0.8], classes=classes,
        ...                  masks=Masks.from_dense(np.array([[[1, 1, 0, 0]], [[0, 1, 0, 0]]], bool)))
        >>> merge(cups, np.array([[1, 1, 1, -1]], np.int16)).map.tolist()
        [[1, 1, 2, 0]]
    """
    if stuff.shape != objects.size:
        raise InputError(
            f"panoptic merge: expected stuff of the objects' image {objects.size} (height, width), got "
            f"{stuff.shape}; resize it first"
        )
    masks = objects._masks("panoptic merge")
    things = np.array(objects.classes.things, dtype=np.bool_)
    image = np.zeros(objects.size, dtype=np.int32)
    labels: list[int] = []
    scores: list[float] = []
    for i in np.argsort(-objects.scores, kind="stable").tolist():
        crop, (x, y) = masks.crop(i)
        part = image[y : y + crop.shape[0], x : x + crop.shape[1]]
        free = crop & (part == 0)
        left = int(free.sum())
        if not things[objects.labels[i]] or not left or left < visible * int(crop.sum()):
            continue
        labels.append(int(objects.labels[i]))
        scores.append(float(objects.scores[i]))
        part[free] = len(labels)
    rest = np.where(image == 0, stuff, -1)
    area = np.bincount(rest[rest >= 0].ravel(), minlength=len(things))
    for label in np.flatnonzero(~things & (area > 0) & (area >= least * image.size)).tolist():
        labels.append(label)
        scores.append(1.0)
        image[rest == label] = len(labels)
    return Panoptic(
        image, np.array(labels, dtype=np.int64), np.array(scores, np.float32), classes=objects.classes
    )
