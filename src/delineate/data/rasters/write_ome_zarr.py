"""Writing OME-Zarr by windows: images at several resolutions, labels beside them (OME-NGFF 0.4 and 0.5)."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.sniff import is_zarr

from .ome_zarr_layout import find_image, metadata, open_store, zarr_package
from .raster import reduced
from .writer import RasterWriter, level_sizes

Version = Literal["0.4", "0.5"]


class OmeZarrWriter(RasterWriter):
    """Writes one multiscale image, or one label image of a store.

    With ``labels`` the numbers go to ``path/labels/NAME``: beside the image where ``path`` is an OME-Zarr
    image already (then with as many levels as that, as the standard asks, and in its version), else into a
    new store that holds labels alone.

    Args:
        path: a folder that is made, such as ``result.ome.zarr``.
        size: (height, width).
        channels: how many; the axes are c y x for more than one, else y x.
        dtype: uint8, uint16 or float32 for an image, whole numbers for labels.
        labels: name of the label image, or None for an image.
        pixel_size: µm, or None.
        channel_names: one per channel, shown by viewers.
        version: of OME-NGFF; 0.4 is stored as Zarr 2, 0.5 as Zarr 3.
        tile: side of a chunk in pixels.
        overwrite: replace what is there.

    Raises:
        MissingDependencyError: zarr is not installed.
        InputError: something is there already, a setting that does not fit, or the place cannot be written.

    Example:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with OmeZarrWriter(f"{folder}/a.ome.zarr", (40, 30), dtype=np.uint32, labels="cells") as out:
        ...         out.write(10, 5, np.full((4, 6), 7, np.uint32))
        ...     from delineate.data.rasters import open_raster
        ...     open_raster(f"{folder}/a.ome.zarr", labels=True).window(8, 5, 12, 6).tolist()
        [[0, 0, 7, 7]]
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int],
        *,
        channels: int = 1,
        dtype: Any = np.uint8,
        labels: str | None = None,
        pixel_size: float | None = None,
        channel_names: Sequence[str] | None = None,
        version: Version = "0.5",
        tile: int = 512,
        overwrite: bool = False,
    ) -> None:
        super().__init__(Path(path), size, channels, dtype, labels is not None)
        self._zarr = zarr_package(self.path)
        self._name, self._version, self._tile = labels, version, tile
        self._pixel_size, self._channel_names = pixel_size, channel_names
        self._properties: list[dict[str, Any]] = []
        count = self._beside(overwrite)
        self._folder = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}.tmp")
        self._sizes = level_sizes(size, tile, count)
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._image = self._made_group()
            self._arrays = [self._made_array(str(k), s) for k, s in enumerate(self._sizes)]
        except OSError as error:
            self._discard()
            raise self._unwritable(error) from None

    def _beside(self, overwrite: bool) -> int | None:
        """Settles where the image goes; how many levels the image has that labels stand beside."""
        self._adds = self._name is not None and is_zarr(self.path)
        self._target = self.path / "labels" / str(self._name) if self._adds else self.path
        self._replaces = self._target.exists()
        if self._replaces and not overwrite:
            raise InputError(
                f"{self._target}: expected a new folder, got one that is there; remove it or choose "
                "another name"
            )
        if self._name is not None and (not self._name or set(self._name) & set("/\\.")):
            raise InputError(
                f"{self.path}: expected a name of labels without slashes and dots, got {self._name!r}; "
                "rename it"
            )
        if not self._adds:
            return None
        root = open_store(self.path)
        self._version = "0.5" if root.metadata.zarr_format == 3 else "0.4"
        if "multiscales" not in metadata(root):
            return None
        image = find_image(root, self.path, 0, labels=False)
        if tuple(image.arrays[0].shape[-2:]) != self.size:
            raise InputError(
                f"{self.path}: expected labels of the image's {image.arrays[0].shape[-2:]}, got {self.size}; "
                "write them to a store of their own"
            )
        self._pixel_size = self._pixel_size or image.pixel_size
        return len(image.arrays)

    def describe(self, properties: Sequence[Mapping[str, Any]]) -> None:
        """Says what label values are: each with the key ``label-value`` and any others; kept at the end."""
        self._properties = [dict(one) for one in properties]

    def _group(self, path: Path) -> Any:
        return self._zarr.create_group(str(path), zarr_format=3 if self._version == "0.5" else 2)

    def _made_group(self) -> Any:
        """The group of the image itself; groups above it where the store is new."""
        if self._name is None or self._adds:
            return self._group(self._folder)
        self._tell(self._group(self._folder), {})
        self._tell(self._group(self._folder / "labels"), {"labels": [self._name]})
        return self._group(self._folder / "labels" / self._name)

    def _made_array(self, name: str, size: tuple[int, int]) -> Any:
        lead = (self.channels,) if self.channels > 1 else ()
        third = self._version == "0.5"
        return self._zarr.create_array(
            self._image.store_path / name,
            shape=(*lead, *size),
            chunks=(*(1 for _ in lead), min(self._tile, size[0]), min(self._tile, size[1])),
            dtype=self.dtype,
            fill_value=0,
            zarr_format=3 if third else 2,
            dimension_names=self._axes() if third else None,
            chunk_key_encoding={"name": "default" if third else "v2", "separator": "/"},
        )

    def _axes(self) -> list[str]:
        return ["c", "y", "x"] if self.channels > 1 else ["y", "x"]

    def _put(self, x0: int, y0: int, pixels: NDArray[Any]) -> None:
        self._store(0, x0, y0, pixels)

    def _store(self, level: int, x0: int, y0: int, pixels: NDArray[Any]) -> None:
        planes = pixels if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        box = (..., slice(y0, y0 + pixels.shape[0]), slice(x0, x0 + pixels.shape[1]))
        try:
            self._arrays[level][box] = planes
        except OSError as error:
            raise self._unwritable(error) from None

    def _finish(self) -> None:
        for level in range(1, len(self._sizes)):
            self._reduce(level)
        self._tell(self._image, self._metadata())
        try:
            self._place()
        except OSError as error:
            raise self._unwritable(error) from None

    def _reduce(self, level: int) -> None:
        """Makes a level of the one before, chunk by chunk."""
        finer, (height, width) = self._arrays[level - 1], self._sizes[level]
        for top in range(0, height, self._tile):
            for left in range(0, width, self._tile):
                box = slice(2 * top, 2 * (top + self._tile)), slice(2 * left, 2 * (left + self._tile))
                found = np.asarray(finer[(..., *box)])
                pixels = found if found.ndim == 2 else np.moveaxis(found, 0, 2)
                self._store(level, left, top, reduced(np.ascontiguousarray(pixels), 2, self.labels))

    def _metadata(self) -> dict[str, Any]:
        """What the standard asks an image, or labels, to say of themselves."""
        space = {"type": "space"} | ({"unit": "micrometer"} if self._pixel_size else {})
        axes = [{"name": "c", "type": "channel"}] if self.channels > 1 else []
        axes += [{"name": name} | space for name in "yx"]
        side, lead = self._pixel_size or 1.0, [1.0] * (len(axes) - 2)
        datasets = [
            {
                "path": str(k),
                "coordinateTransformations": [{"type": "scale", "scale": [*lead, side * 2**k, side * 2**k]}],
            }
            for k in range(len(self._sizes))
        ]
        how = "nearest" if self.labels else "mean"
        name = self._name or self.path.name.split(".")[0]
        told: dict[str, Any] = {
            "multiscales": [
                {
                    "name": name,
                    "axes": axes,
                    "datasets": datasets,
                    "type": how,
                    "metadata": {
                        "description": f"each level halves the one before, by {how} of 2 x 2 pixels"
                    },
                }
            ]
        }
        if self._version == "0.4":
            told["multiscales"][0]["version"] = "0.4"
        if self.labels:
            told["image-label"] = {"version": self._version, "source": {"image": "../../"}}
            if self._properties:
                told["image-label"]["properties"] = self._properties
        elif self.channels > 1 or self._channel_names:
            told["omero"] = {"channels": self._omero_channels()}
        return told

    def _omero_channels(self) -> list[dict[str, Any]]:
        """Names, colours and the range of the type, as viewers show channels at first."""
        rgb = self.channels == 3 and self.dtype == np.uint8
        colours = (
            ("FF0000", "00FF00", "0000FF") if rgb else ("0000FF", "00FF00", "FF00FF", "FFFF00", "00FFFF")
        )
        names = self._channel_names or (("red", "green", "blue") if rgb else ())
        most = 1.0 if self.dtype.kind == "f" else float(np.iinfo(self.dtype).max)
        return [
            {
                "label": names[k] if k < len(names) else f"channel {k}",
                "color": colours[k] if k < len(colours) else "FFFFFF",
                "active": True,
                "window": {"min": 0.0, "max": most, "start": 0.0, "end": most},
            }
            for k in range(self.channels)
        ]

    def _tell(self, group: Any, told: dict[str, Any]) -> None:
        """Writes metadata into a group, where its version has them."""
        if self._version == "0.5":
            told = {"ome": {**group.attrs.get("ome", {}), "version": "0.5", **told}}
        group.attrs.update(told)

    def _place(self) -> None:
        """Moves what is finished to its name."""
        old = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}.old")
        if self._replaces:
            os.replace(self._target, old)  # noqa: PTH105
        os.replace(self._folder, self._target)  # noqa: PTH105
        shutil.rmtree(old, ignore_errors=True)
        if not self._adds:
            return
        labels = self.path / "labels"
        group = self._zarr.open_group(str(labels), mode="a") if is_zarr(labels) else self._group(labels)
        names = metadata(group).get("labels", [])
        self._tell(group, {"labels": [*(n for n in names if n != self._name), self._name]})

    def _discard(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._adds:
            with contextlib.suppress(OSError):  # labels of another name are there
                self._folder.parent.rmdir()

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"{self.path}: expected to write here, got {error.strerror or error}; choose another place"
        )
