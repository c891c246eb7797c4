"""The currency: Instances, Masks, Polygon, Labels, boxes, errors."""

from .errors import (
    CheckpointError,
    DatasetError,
    DelineateError,
    InputError,
    MaskError,
    MissingDependencyError,
)
from .instances import Instances
from .labels import Labels
from .masks import Masks
from .polygons import Polygon

__all__ = [
    "CheckpointError",
    "DatasetError",
    "DelineateError",
    "InputError",
    "Instances",
    "Labels",
    "MaskError",
    "Masks",
    "MissingDependencyError",
    "Polygon",
]
