"""ImageJ's ROI Manager: a zip of regions (or ``.roi`` files) for each image.

A zip belongs to the image of its name: ``cells.zip``, ``cells_RoiSet.zip`` or ``RoiSet_cells.zip`` to
``cells.tif``, ``RoiSet.zip`` to the only image beside it; single ``.roi`` files to the image that is named as
they are, else as their folder is. The class is the property ``class`` of a region, else its group; regions
without either are ``object``. What ImageJ draws fills the pixels whose centres are inside, as here.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from delineate.core.errors import DatasetError

from ..find import natural_key
from ..losses import Losses
from ..place import Place, safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from ..sniff import SUFFIXES
from ..write import atomic
from .coco_check import Bad, Findings
from .drawing import ToDraw, count_ids, dumps, to_draw
from .drawn import Drawn, dataset, json_files, some_files, with_split
from .image_search import Images, ImageSearch, same_stem
from .imagej_roi import LARGEST_SIDE, Roi, decode, encode
from .qupath import CLASS_LIST, class_list

LARGEST_ROI = 1 << 26
MOST_ROIS = 1 << 20
_AROUND_NAME = ("_RoiSet", "-RoiSet", "_rois", "_roi", "_ROI", "RoiSet_", "RoiSet-", "RoiSet")
_OBJECT = "object"


def recognise(path: Path) -> bool:
    """Whether it is a region, a zip of regions alone, or a folder that has such."""
    try:
        if path.is_dir():
            return any(map(_is_imagej, some_files(path, (".roi", ".zip"))))
        return _is_imagej(path)
    except OSError:
        return False


def _is_imagej(path: Path) -> bool:
    if path.suffix.lower() == ".roi":
        with path.open("rb") as file:
            return file.read(4) == b"Iout"
    if path.suffix.lower() != ".zip":
        return False
    try:
        with zipfile.ZipFile(path) as packed:
            names = [name for name in packed.namelist() if not name.endswith("/")]
        return bool(names) and all(name.lower().endswith(".roi") for name in names)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return False


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads a folder of zips and regions, with its sub-folders, or one file. Nothing is unpacked to disk.

    Sub-folders called train, val or test are splits. ``classes.json`` (as QuPath has it) lists the classes.

    Args:
        path: the folder, the zip or the region.
        images: the folder of the images where they do not lie there; False asks for none.
        skip_invalid: leave malformed regions and files out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: nothing annotated, or something malformed; the message has the file and the region.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    findings = Findings(path)
    search = ImageSearch(folder, images)
    records: list[Record] = []
    for stem, inside, files in _sets(path, folder):
        split = SPLIT_NAMES.get(inside.parts[0].lower(), "") if inside.parts else ""
        within = PurePosixPath(*inside.parts[1:]) if split else inside
        name, image = _image(stem, within, folder / inside, search)
        if image is None:
            continue
        objects: list[Drawn] = []
        for file in files:
            at = f"{file.relative_to(folder).as_posix()}: " if path.is_dir() else ""
            try:
                objects += _objects(file, at, findings)
            except (Bad, DatasetError) as error:
                findings.problems.append(at + str(error).removeprefix(f"{file}: "))
        records.append(with_split(Record(name, image, len(records) + 1, None, tuple(objects)), split))
    search.settle(findings, skip_invalid)
    return dataset(records, class_list(folder), "ImageJ ROIs", findings, skip_invalid)


def _sets(path: Path, folder: Path) -> Iterator[tuple[str, PurePosixPath, list[Path]]]:
    """The stem of each image, the folder inside ``folder``, and the files of its regions."""
    files = json_files(folder, "*.zip") + json_files(folder, "*.roi") if path.is_dir() else [path]
    found: dict[tuple[PurePosixPath, str], list[Path]] = {}
    for file in files:
        inside = PurePosixPath(file.parent.relative_to(folder).as_posix())
        stem = file.stem
        if file.suffix.lower() == ".roi" and not same_stem(file.parent, stem) and inside.parts:
            stem, inside = inside.name, inside.parent  # unpacked: a folder named as the image is
        elif file.suffix.lower() == ".zip" and not same_stem(file.parent, stem):
            for word in _AROUND_NAME:
                stem = stem.removeprefix(word) if word.endswith(("_", "-")) else stem.removesuffix(word)
        found.setdefault((inside, stem), []).append(file)
    for (inside, stem), members in sorted(
        found.items(), key=lambda item: natural_key(f"{item[0][0]}/{item[0][1]}")
    ):
        yield stem, inside, members


def _image(stem: str, inside: PurePosixPath, beside: Path, search: ImageSearch) -> tuple[str, Path | None]:
    """The image's name inside the dataset, and where it lies."""
    if search.images is False:
        return str(inside / (stem or "image")), Path(stem or "image")
    folders = [beside, *(f / inside for f in search.folders), *search.folders]
    if search.images is not None:
        folders = folders[1:]
    for folder in folders:
        beside_it = same_stem(folder, stem) if stem else _only_image(folder)
        if beside_it:
            search.asked += 1
            return str(inside / beside_it[0]), folder / beside_it[0]
    found = search(f"{stem or 'image'}.tif", others=[stem + suffix for suffix in SUFFIXES])
    return (str(inside / found.name) if found is not None else "", found)


def _only_image(folder: Path) -> list[str]:
    found = [p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES] if folder.is_dir() else []
    return found if len(found) == 1 else []


def _objects(file: Path, at: str, findings: Findings) -> Iterator[Drawn]:
    for name, data in _members(file):
        where = f"{at}{name}" if name else at.removesuffix(": ") or file.name
        try:
            roi = decode(data, where)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if roi.piece is None:
            findings.count("point, line or text, which has no area, left out", where)
        elif roi.position > 1:
            findings.count("region of a later slice or frame of a stack left out", where)
        else:
            yield _drawn(roi, where)


def _members(file: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the regions, read one by one, each bounded."""
    if file.suffix.lower() == ".roi":
        with file.open("rb") as plain:
            yield "", plain.read(LARGEST_ROI)
        return
    try:
        with zipfile.ZipFile(file) as packed:
            members = [info for info in packed.infolist() if info.filename.lower().endswith(".roi")]
            if len(members) > MOST_ROIS:
                raise DatasetError(f"{file}: expected at most {MOST_ROIS} regions, got {len(members)}")
            for info in members:
                if info.file_size > LARGEST_ROI:
                    raise DatasetError(f"{file}: expected regions of at most 64 MiB, got {info.filename!r}")
                with packed.open(info) as member:
                    yield info.filename, member.read(LARGEST_ROI)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError) as error:
        raise DatasetError(f"{file}: expected a zip of regions, got {error}; save it again") from None


def _drawn(roi: Roi, where: str) -> Drawn:
    assert roi.piece is not None
    own = roi.properties
    number, score = own.get("id", ""), own.get("score", "1")
    try:
        sure = float(score)
    except ValueError:
        sure = -1.0
    if not 0 <= sure <= 1:
        raise Bad(f"{where}: expected a property score in 0..1, got {score!r}")
    return Drawn(
        own.get("class") or (f"group {roi.group}" if roi.group else _OBJECT),
        (roi.piece,),
        where,
        int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None,
        sure,
        own.get("crowd") == "true",
    )


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes a zip of regions beside each image, and ``classes.json``; masks keep every pixel.

    Class, id, score and crowd are properties of a region, its group the class's place from 1 up to 255.

    Args:
        out: the folder, which exists; or a ``.zip`` file, for a dataset of one image.
        data: the dataset.
        losses: counts what a single zip cannot hold: ids of the image and of classes.
        place: puts the images there.

    Raises:
        DatasetError: several images for one file, an image too large for ImageJ's 16-bit bounds, or an
            annotation that cannot be read.
    """
    if out.suffix.lower() == ".zip":
        if len(data) != 1:
            raise DatasetError(
                f"{out.name}: expected one image for one zip, got {len(data)}; write a folder instead"
            )
        count_ids(data, losses, images=True, classes=True)
        _write_one(out, data, 0, losses)
        return
    rows = [{"name": name, "id": own} for name, own in zip(data.classes.names, data.classes.ids, strict=True)]
    with atomic(out / CLASS_LIST) as temporary:
        temporary.write_text(dumps({"pathClasses": rows}), encoding="utf-8")
    taken: set[Path] = set()
    for index, record in enumerate(data.records):
        target = out / record.groups.get("split", "") / safe_name(record.name)
        path = target.with_suffix(".zip")
        if path in taken:
            raise DatasetError(
                f"{record.name}: expected one image of each name without its ending; rename one"
            )
        taken.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_one(path, data, index, losses)
        place(record, target)


def _write_one(path: Path, data: Dataset, index: int, losses: Losses) -> None:
    truth, objects = to_draw(data, index, losses)
    if max(truth.size) > LARGEST_SIDE:
        raise DatasetError(
            f"{data.records[index].name}: expected sides of at most {LARGEST_SIDE} pixels, as ImageJ's "
            f"regions hold, got {truth.size[1]} x {truth.size[0]}; cut it into tiles or choose another format"
        )
    colors = truth.classes.colors.tolist()
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, one in enumerate(objects, 1):
            name = f"{number:04d}-{_plain(one.name)}"
            group = one.label + 1 if one.label < 255 else 0
            corners = one.box if one.crop is None else None
            roi = encode(name, one.parts, corners, group, colors[one.label], _properties(one))
            entry = zipfile.ZipInfo(f"{name}.roi")  # the same bytes whenever it is written
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, roi)


def _plain(name: str) -> str:
    """A class name for a file inside a zip."""
    return "".join(c if c.isalnum() or c in " -" else "_" for c in name)[:40].strip() or "object"


def _properties(one: ToDraw) -> dict[str, str]:
    found = {"class": one.name}
    found |= {"id": str(one.id)} if one.id is not None else {}
    found |= {"score": repr(one.score)} if one.score < 1 else {}
    return found | ({"crowd": "true"} if one.crowd else {})
