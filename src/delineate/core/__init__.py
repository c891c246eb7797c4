"""The currency: Instances, Panoptic, Semantic, Masks, Polygon, Labels, boxes, errors."""

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
from .panoptic import Panoptic
from .polygons import Polygon
from .semantic import Semantic

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
    "Panoptic",
    "Polygon",
    "Semantic",
]
