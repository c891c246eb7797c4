"""delineate: find every object in an image, say what it is, trace its outline.

``import delineate as dl; dl.load("nuclei").predict("image.tif")`` gives :class:`Instances`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.instances import Instances as Instances
    from .core.labels import Labels as Labels
    from .core.masks import Masks as Masks
    from .core.polygons import Polygon as Polygon
    from .data.dataset import open_dataset as open_dataset
    from .data.images import read as read
    from .engine.compare_models import compare as compare
    from .engine.comparison import compare_reports as compare_reports
    from .engine.crops_calls import fruit as fruit
    from .engine.crops_calls import leaves as leaves
    from .engine.evaluate import evaluate as evaluate
    from .engine.evaluate_tracks import evaluate_tracks as evaluate_tracks
    from .engine.geo_map import map_image as map_image
    from .engine.grasp import grasp as grasp
    from .engine.large import predict_large as predict_large
    from .engine.load import load as load
    from .engine.measure import measure as measure
    from .engine.predict_many import predict_many as predict_many
    from .engine.track import track as track
    from .engine.train import train as train

__version__ = "0.1.0"

# Heavy parts are imported on first use, so that `import delineate` and `delineate --help` stay quick.
_HOME = {
    "Instances": ("core.instances", "Instances"),
    "Labels": ("core.labels", "Labels"),
    "Masks": ("core.masks", "Masks"),
    "Polygon": ("core.polygons", "Polygon"),
    "open_dataset": ("data.dataset", "open_dataset"),
    "predict_large": ("engine.large", "predict_large"),
    "read": ("data.images", "read"),
    "compare": ("engine.compare_models", "compare"),
    "compare_reports": ("engine.comparison", "compare_reports"),
    "evaluate": ("engine.evaluate", "evaluate"),
    "evaluate_tracks": ("engine.evaluate_tracks", "evaluate_tracks"),
    "fruit": ("engine.crops_calls", "fruit"),
    "grasp": ("engine.grasp", "grasp"),
    "leaves": ("engine.crops_calls", "leaves"),
    "load": ("engine.load", "load"),
    "map_image": ("engine.geo_map", "map_image"),
    "measure": ("engine.measure", "measure"),
    "predict_many": ("engine.predict_many", "predict_many"),
    "track": ("engine.track", "track"),
    "train": ("engine.train", "train"),
}


if not TYPE_CHECKING:  # a type checker sees the imports above, and so finds names that do not exist

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            module, attribute = _HOME[name]
            return getattr(import_module(f".{module}", __name__), attribute)
        raise AttributeError(f"module 'delineate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])


__all__ = [
    "Instances",
    "Labels",
    "Masks",
    "Polygon",
    "__version__",
    "compare",
    "compare_reports",
    "evaluate",
    "evaluate_tracks",
    "fruit",
    "grasp",
    "leaves",
    "load",
    "map_image",
    "measure",
    "open_dataset",
    "predict_large",
    "predict_many",
    "read",
    "track",
    "train",
]
