"""Where the arrays of an OME-Zarr image lie and what their axes mean (OME-NGFF 0.1 to 0.5).

An image is a group with ``multiscales`` metadata: a list of arrays from fine to coarse, named axes, and for
each array the scale from its pixels to physical units. A plate, a ``bioformats2raw`` collection and a group
of labels hold several images; they count as series, in the order that their metadata names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError, MissingDependencyError

_MICROMETRES = {
    "angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4,
    "meter": 1e6,
}  # fmt: skip
_RGB = ["FF0000", "00FF00", "0000FF"]


@dataclass(frozen=True)
class Layout:
    """One image of a Zarr store.

    Attributes:
        arrays: the stored resolutions, the finest first.
        axes: one letter per dimension: t, c, z, y, x; ``?`` for another, whose entries count as slices.
        pixel_size: µm, or None.
        colour: three channels that the file calls red, green and blue.
        series: how many images the store has.
        name: path of this one in the store; empty where it is the store itself.
    """

    arrays: tuple[Any, ...]
    axes: str
    pixel_size: float | None = None
    colour: bool = False
    series: int = 1
    name: str = ""

    def count(self, axis: str) -> int:
        """How many entries an axis has; 1 for one that is not there."""
        return int(self.arrays[0].shape[self.axes.index(axis)]) if axis in self.axes else 1


def open_store(path: Path) -> Any:
    """The group or array at the root of a store, for reading.

    Raises:
        MissingDependencyError: zarr is not installed.
        InputError: no Zarr, or a damaged one.
    """
    zarr = zarr_package(path)
    try:
        store = str(path) if path.is_dir() else zarr.storage.ZipStore(path, mode="r")
        return zarr.open(store, mode="r")
    except Exception as error:  # zarr raises many kinds for damaged metadata
        raise InputError(
            f"{path}: expected an OME-Zarr image, got {brief(error)!r}; check the path"
        ) from None


def brief(error: Exception) -> str:
    """What the package says of damage: its first line, which may quote the file's own bytes, cut short."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def zarr_package(path: Path) -> Any:
    """The package zarr.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import zarr
        import zarr.storage
    except ImportError:
        raise MissingDependencyError(
            f"{path}: expected the package zarr for OME-Zarr, got none; pip install 'delineate[bio]'"
        ) from None
    return zarr


def find_image(root: Any, path: Path, series: int, labels: bool) -> Layout:
    """The image number ``series`` of a store, from 0.

    Args:
        root: what :func:`open_store` gave.
        path: for messages.
        series: which.
        labels: of a group with an image and labels of it take the labels.

    Raises:
        InputError: no image in it, no such series, or metadata that make no sense.
    """
    try:
        names = _images(root, labels)
        if not 0 <= series < len(names):
            raise InputError(
                f"{path}: expected a series in 0..{len(names) - 1} ({', '.join(names[:8])}), got {series}; "
                "choose one of them"
            )
        if root_is_array(root):
            return Layout((root,), _plain_axes(root, path))
        name = names[series]
        return _multiscale(root[name] if name else root, path, len(names), name)
    except InputError:
        raise
    except Exception as error:  # metadata of any shape
        raise InputError(
            f"{path}: expected the metadata of an OME-Zarr image, got damaged ones "
            f"({type(error).__name__}: {brief(error)}); write it again"
        ) from None


def root_is_array(root: Any) -> bool:
    """Whether a store is one array without a group around it."""
    return hasattr(root, "shape")


def metadata(group: Any) -> dict[str, Any]:
    """The OME metadata of a group: under ``ome`` since 0.5, among the attributes before."""
    attributes: dict[str, Any] = dict(group.attrs)
    found = attributes.get("ome", attributes)
    return found if isinstance(found, dict) else {}


def _images(root: Any, labels: bool) -> list[str]:
    """Paths of the images in a store; one empty path for the root itself."""
    if root_is_array(root):
        return [""]
    found = metadata(root)
    if "labels" in found:
        return [str(name) for name in found["labels"]]
    inside = metadata(root["labels"]).get("labels", []) if "labels" in root else []
    if inside and (labels or "multiscales" not in found):
        return [f"labels/{name}" for name in inside]
    if "multiscales" in found:
        return [""]
    if "plate" in found:
        wells = [str(well["path"]) for well in found["plate"]["wells"]]
        return [
            f"{well}/{image['path']}" for well in wells for image in metadata(root[well])["well"]["images"]
        ]
    if "well" in found:
        return [str(image["path"]) for image in found["well"]["images"]]
    if "OME" in root and "series" in metadata(root["OME"]):
        return [str(name) for name in metadata(root["OME"])["series"]]
    numbered: list[str] = []
    while str(len(numbered)) in root:
        numbered.append(str(len(numbered)))
    if numbered:
        return numbered
    raise InputError(
        f"{root.store_path}: expected the metadata `multiscales` of an OME-Zarr image, got a group with "
        f"{', '.join(sorted(found)[:5]) or 'none'}; name the group of an image inside it"
    )


def _multiscale(group: Any, path: Path, series: int, name: str) -> Layout:
    if root_is_array(group):
        return Layout((group,), _plain_axes(group, path), series=series, name=name)
    found = metadata(group)
    scale = found["multiscales"][0]
    arrays = tuple(group[entry["path"]] for entry in scale["datasets"])
    axes = scale.get("axes") or list("tczyx")
    letters = "".join(_letter(axis) for axis in axes)
    if len(letters) != arrays[0].ndim or letters[-2:] != "yx":
        raise InputError(
            f"{path}: expected the axes y and x last, one per dimension, got {letters} for the shape "
            f"{arrays[0].shape}; write the image again"
        )
    channels = found.get("omero", {}).get("channels", [])
    colour = [str(channel.get("color", "")).upper() for channel in channels] == _RGB
    return Layout(
        arrays, letters, _pixel_size(scale, axes), colour and arrays[0].dtype.name == "uint8", series, name
    )


def _letter(axis: Any) -> str:
    """t, c, z, y or x; ? for another axis."""
    if isinstance(axis, str):
        return axis if axis in ("t", "c", "z", "y", "x") else "?"
    by_type = {"time": "t", "channel": "c"}.get(str(axis.get("type")))
    name = str(axis["name"]).lower()
    return by_type or (name if name in ("t", "c", "z", "y", "x") else "?")


def _plain_axes(array: Any, path: Path) -> str:
    """Axes of an array without metadata: its own dimension names, else y x."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    letters = "".join(_letter(str(name)) for name in names)
    if len(letters) == array.ndim and letters.endswith("yx"):
        return letters
    if array.ndim != 2:
        raise InputError(
            f"{path}: expected an array of 2 dimensions or the metadata of OME-Zarr, got the shape "
            f"{array.shape} without names of its axes; write it as OME-Zarr"
        )
    return "yx"


def _pixel_size(scale: dict[str, Any], axes: list[Any]) -> float | None:
    """µm along x, where the unit is told."""
    x = axes[-1]
    factor = _MICROMETRES.get(str(x.get("unit")) if isinstance(x, dict) else "")
    if factor is None:
        return None
    size = factor
    for part in (scale["datasets"][0], scale):
        for change in part.get("coordinateTransformations", []):
            if change["type"] == "scale" and "scale" in change:
                size *= float(change["scale"][-1])
    return size if 0 < size < 1e6 else None
