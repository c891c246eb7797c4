"""Small files of each kind, valid, from which the fuzzer starts."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.images import write_png
from delineate.data.known_formats import FORMATS
from delineate.data.losses import Losses
from delineate.data.place import Place
from delineate.data.records import Dataset, Record

SIZE = (12, 15)
PIXELS = np.random.default_rng(0).integers(0, 255, (20, 24, 3), dtype=np.uint8)


def encoded(kind: str, mode: str = "", **settings: object) -> bytes:
    """The picture as Pillow writes it."""
    target = io.BytesIO()
    image = Image.fromarray(PIXELS)
    (image.convert(mode) if mode else image).save(target, kind, **settings)
    return target.getvalue()


def tiff(pixels: NDArray[np.generic], **settings: object) -> bytes:
    """Pixels as tifffile writes them."""
    target = io.BytesIO()
    tifffile.imwrite(target, pixels, **settings)
    return target.getvalue()


def tiffs() -> list[bytes]:
    """TIFFs of many layouts: strips, tiles, planes, pyramids, ImageJ, OME, maps, palettes, compressions."""
    grey, wide = PIXELS[:, :, 0], PIXELS[:, :, 0].astype(np.uint16) * 100
    big = np.kron(grey, np.ones((8, 8), np.uint8))
    pyramid = io.BytesIO()
    with tifffile.TiffWriter(pyramid) as writer:
        writer.write(big, tile=(64, 64), subifds=1, compression="zlib")
        writer.write(big[::2, ::2], tile=(64, 64), subfiletype=1, compression="zlib")
    place = [(33550, 12, 3, (0.5, 0.5, 0.0)), (33922, 12, 6, (0, 0, 0, 400000.0, 5e6, 0)),
             (34735, 3, 8, (1, 1, 0, 1, 3072, 0, 1, 32633))]  # fmt: skip
    return [
        tiff(PIXELS),
        tiff(PIXELS, tile=(16, 16), compression="zlib", predictor=True),
        tiff(grey, ome=True),
        tiff(np.stack([wide] * 4), imagej=True, metadata={"axes": "ZYX", "spacing": 2.0, "unit": "um"}),
        tiff(PIXELS, compression="lzw", bigtiff=True),
        tiff(PIXELS, compression="jpeg"),
        tiff(np.stack([grey] * 3), planarconfig="separate", photometric="rgb"),
        tiff(grey.astype(np.float32), resolution=(1e4, 1e4), resolutionunit="CENTIMETER"),
        tiff(grey, photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
        tiff(PIXELS, byteorder=">", extratags=[(274, 3, 1, 6, True)]),
        tiff(np.stack([wide] * 6).reshape(2, 3, 20, 24), ome=True, metadata={"axes": "TCYX"}),
        tiff(grey, extratags=[(code, kind, count, value, True) for code, kind, count, value in place]),
        tiff(big, tile=(64, 64), compression="packbits"),
        pyramid.getvalue(),
    ]


def _kept(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    return record.annotation, ()


def dataset(folder: Path, name: str) -> Path:
    """Two images with a polygon, a mask with a hole, an object of parts, scores and tracks."""
    classes = Labels(("car", "person"))
    dense = np.zeros((3, *SIZE), np.bool_)
    dense[0, 2:6, 2:7], dense[1, 7:11, 3:11], dense[2, ::5, 12:] = True, True, True
    dense[1, 8:9, 5:7] = False
    records = []
    for frame in range(2):
        score = [1, 1, 0.5] if frame else None
        truth = Instances(
            SIZE, masks=Masks.from_dense(dense), labels=[0, 1, 0], ids=[1, 2, 3], crowd=[False] * 3,
            scores=score, classes=classes,
        )  # fmt: skip
        path = folder / "in" / f"{frame}.png"
        path.parent.mkdir(exist_ok=True)
        write_png(path, np.zeros(SIZE, np.uint8))
        groups = {"sequence": "s", "frame": str(frame), "split": "train", "city": "c"}
        records.append(Record(path.name, path, frame + 1, SIZE, truth, groups))
    out = folder / "out"
    out.mkdir()
    data = Dataset(tuple(records), classes, _kept, "made", folder)
    FORMATS[name].write(out, data, Losses(), Place("copy", out))
    return out


def zipped(files: dict[str, bytes]) -> bytes:
    """A ZIP archive."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def tarred(files: dict[str, bytes], mode: str) -> bytes:
    """A TAR archive, compressed as ``mode`` says: ``w``, ``w:gz`` and so on."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return target.getvalue()


def video(path: Path) -> bytes:
    """Six frames of MPEG-4."""
    import av

    with av.open(str(path), "w") as target:
        stream = target.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(6):
            pixels = np.full((48, 64, 3), 40 * k, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                target.mux(packet)
        for packet in stream.encode():
            target.mux(packet)
    return path.read_bytes()
