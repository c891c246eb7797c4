"""Pictures and videos."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import seeds
from reading import SMALL, Made, target, tries

# -- pictures -----------------------------------------------------------------------------------------


def _picture(data: bytes) -> None:
    from delineate.data.images import pages, read, read_labels, read_size

    tries(
        lambda: read(data, max_pixels=SMALL),
        lambda: read_size(data),
        lambda: read_labels(data, max_pixels=SMALL),
        lambda: read(data, max_pixels=SMALL, channels=0),
        lambda: next(pages(data, max_pixels=SMALL)),
    )


@target
def png(_: Path) -> Made:
    """PNG: colour, palette, grey of 16 bits, interlaced, transparent."""
    wide = io.BytesIO()
    seeds.Image.fromarray(seeds.PIXELS[:, :, 0].astype(np.uint16) * 256).save(wide, "PNG")
    modes = ("", "P", "L", "1", "RGBA", "LA")
    return [*(seeds.encoded("PNG", mode, dpi=(300, 300)) for mode in modes), wide.getvalue()], _picture


@target
def jpeg(_: Path) -> Made:
    """JPEG: baseline, progressive, grey, CMYK, turned by EXIF."""
    exif = seeds.Image.Exif()
    exif[274] = 6
    made = [seeds.encoded("JPEG", mode) for mode in ("", "L", "CMYK")]
    return [*made, seeds.encoded("JPEG", progressive=True), seeds.encoded("JPEG", exif=exif)], _picture


@target
def other_pictures(_: Path) -> Made:
    """WebP, BMP, GIF, JPEG 2000."""
    made = [seeds.encoded(kind) for kind in ("WebP", "BMP", "GIF", "JPEG2000")]
    return [*made, seeds.encoded("BMP", "P"), seeds.encoded("WebP", lossless=True)], _picture


@target
def tiff(folder: Path) -> Made:
    """TIFF as a picture, by windows, as a map, as a stack of labels."""
    path = folder / "a.tif"

    def read(data: bytes) -> None:
        from delineate.data.georeference import read_georeference
        from delineate.data.images import pages
        from delineate.engine.measure_stack import read_image_stack, read_label_stack

        _picture(data)
        path.write_bytes(data)
        tries(
            lambda: _windows(path),
            lambda: read_georeference(path),
            lambda: pages(data, max_pixels=SMALL, channels=0),
            lambda: read_label_stack(path),
            lambda: read_image_stack(path, channels=0),
        )

    return seeds.tiffs(), read


def _windows(path: Path) -> None:
    from delineate.data.rasters import open_raster

    for labels in (False, True):
        with open_raster(path, channels=0, labels=labels, max_pixels=SMALL) as raster:
            height, width = raster.size
            raster.window(0, 0, min(64, width), min(64, height))
            raster.window(max(0, width - 50), max(0, height - 50), width, height)


@target
def zarr(folder: Path) -> Made:
    """OME-Zarr in a ZIP, version 0.4 and 0.5, by windows and whole."""
    from delineate.data.images import read as read_image

    made = []
    for version in (2, 3):
        root = folder / f"{version}.zarr"
        _write_zarr(root, version)
        files = {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
        made.append(seeds.zipped(files))
    path = folder / "a.zarr.zip"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        tries(lambda: _windows(path), lambda: read_image(path, channels=0, max_pixels=SMALL))

    return made, read


def _write_zarr(root: Path, version: int) -> None:
    import zarr as package

    axes = [{"name": "c", "type": "channel"}] + [
        {"name": n, "type": "space", "unit": "micrometer"} for n in "yx"
    ]
    scale = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    multiscales = [{"version": "0.4", "axes": axes, "datasets": levels}]
    group = package.open_group(root, mode="w", zarr_format=version)
    array = group.create_array("0", shape=(2, 40, 50), chunks=(1, 32, 32), dtype="u2")
    array[:] = np.arange(4000, dtype=np.uint16).reshape(2, 40, 50)
    attributes = {"multiscales": multiscales}
    group.attrs.update(attributes if version == 2 else {"ome": {**attributes, "version": "0.5"}})


@target
def video(folder: Path) -> Made:
    """A video's frames."""
    path = folder / "a.mp4"
    made = seeds.video(path)

    def read(data: bytes) -> None:
        from delineate.data.video import frames

        path.write_bytes(data)
        tries(lambda: iter(frames(path, max_pixels=SMALL)))

    return [made], read
