"""The classes of :mod:`delineate.models.coco`, where they were once kept."""

from ..coco import COCO as COCO
