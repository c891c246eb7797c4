"""CVAT for video 1.1: one XML file of tracks, and the frames as ``images/frame_000000.png``.

A ``<track>`` has a shape for each frame it is seen in, and one with ``outside="1"`` where it is lost. CVAT
writes every frame; where only key frames stand in a file, boxes and outlines of as many points are
interpolated between them, other shapes are held until the next key frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.polygons import Polygon

from ..find import natural_order
from ..images import read_size
from ..losses import Losses
from ..place import Place, safe_name
from ..records import Dataset, Record
from ..sniff import SUFFIXES
from .coco_check import Bad, Findings
from .cvat import kind_of, xml_files
from .cvat_shapes import element, escaped, label_names, labels_xml, shape, z_order
from .drawing import ToDraw, count_ids, text_file, to_draw
from .drawn import Box, Drawn, Piece, dataset, single_file, some_files
from .image_search import Images, ImageSearch
from .xml_file import children, tag

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MOST_FRAMES = 1_000_000
_LOOSE = 2**30
"""Numbers above are of objects without a track, while a file is made."""


@dataclass
class _Task:
    """What the head of a file says."""

    classes: list[str] = field(default_factory=list)
    name: str = ""
    size: tuple[int, int] | None = None
    step: int = 1
    frames: range | None = None


def recognise(path: Path) -> bool:
    """Whether it is CVAT's XML of video tracks, a folder with it, or a folder of such folders."""
    try:
        if path.is_dir():
            near = [path / "annotations.xml"] if (path / "annotations.xml").is_file() else []
            return any(kind_of(p) == "video" for p in near or some_files(path, (".xml",), depth=1))
        return kind_of(path) == "video"
    except OSError:
        return False


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads the tracks of one video, or of several in sub-folders, as images with ids.

    Each record has the columns ``sequence`` and ``frame``. Every frame whose image is there is a record, also
    where nothing is annotated; without images (False) every frame that the file speaks of.

    Args:
        path: the XML file; a folder with ``annotations.xml``; a folder of such folders.
        images: the folder of the frames where they lie elsewhere; False asks for none.
        skip_invalid: leave malformed shapes and missing frames out, counted in ``notes``.

    Raises:
        DatasetError: not such a file, or something malformed; the message has the track and the frame.
    """
    path = Path(path)
    files = xml_files(path, "video")
    if not files and path.is_dir():
        files = [
            file
            for sub in natural_order(p for p in path.iterdir() if p.is_dir())
            for file in xml_files(sub, "video")
        ]
    findings = Findings(path)
    names: list[str] = []
    records: list[Record] = []
    for file in files or [single_file(path, "CVAT's annotations.xml")]:
        task, frames = _tracks(file, findings)
        names += task.classes
        several = len(files) > 1
        sequence = (file.parent.name if file.name == "annotations.xml" else file.stem) if several else ""
        records += _records(
            file, task, frames, images, sequence or task.name or file.stem, findings, skip_invalid
        )
    records = [replace(record, image_id=i) for i, record in enumerate(records, 1)]
    return dataset(records, names, "CVAT video", findings, skip_invalid)


def _tracks(file: Path, findings: Findings) -> tuple[_Task, dict[int, list[tuple[int, Drawn]]]]:
    task = _Task()
    frames: dict[int, list[tuple[int, Drawn]]] = {}
    for part in children(file):
        if part.tag == "meta":
            task = _head(part, file)
        elif part.tag == "track":
            for frame, z, drawn in _track(part, task, findings):
                frames.setdefault(frame, []).append((z, drawn))
    return task, frames


def _head(meta: Element, file: Path) -> _Task:
    if len(meta.findall(".//tasks/task")) > 1:
        raise DatasetError(
            f"{file}: expected the tracks of one video, got several tasks; export each task alone"
        )
    sides = [meta.findtext(f".//original_size/{side}") or "" for side in ("height", "width")]
    step = re.search(r"step=(\d{1,6})", meta.findtext(".//frame_filter") or "")
    task = _Task(
        label_names(meta),
        (meta.findtext("./task/name") or "").strip(),
        step=max(1, int(step[1])) if step else 1,
    )
    if all(side.isdecimal() and 0 < int(side) < 2**20 for side in sides):
        task.size = int(sides[0]), int(sides[1])
    ends = [meta.findtext(f".//{name}") or "" for name in ("start_frame", "stop_frame")]
    if all(end.isdecimal() and len(end) < 8 for end in ends):
        task.frames = range(int(ends[0]), int(ends[1]) + 1, task.step)[:_MOST_FRAMES]
    return task


def _track(track: Element, task: _Task, findings: Findings) -> Iterator[tuple[int, int, Drawn]]:
    """Where the object is seen: frame, place in the painting order, and shape."""
    identity = track.get("id", "")
    number = int(identity) if re.fullmatch(r"\d{1,9}", identity) else None
    seen: list[tuple[int, bool, int, Drawn]] = []
    for part in track:
        given = part.get("frame", "")
        where = f"track {identity!r}, frame {given or '?'}"
        try:
            if not re.fullmatch(r"\d{1,7}", given):
                raise Bad(f"{where}: expected a frame's number, got {given!r}")
            drawn = shape(part, track.get("label", ""), where, task.size, findings)
            z = z_order(part, where)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if drawn is not None:
            seen.append((int(given), part.get("outside") == "1", z, replace(drawn, id=number)))
    seen.sort(key=lambda row: row[0])
    for place, (frame, outside, z, drawn) in enumerate(seen):
        following = seen[place + 1] if place + 1 < len(seen) else None
        if outside or (following is not None and following[0] == frame):
            continue
        yield frame, z, drawn
        for between in range(frame + task.step, following[0] if following else 0, task.step):
            assert following is not None
            share = (between - frame) / (following[0] - frame)
            yield between, z, _between(drawn, following[3], share, findings)


def _between(first: Drawn, second: Drawn, share: float, findings: Findings) -> Drawn:
    """The object at ``share`` (0..1) of the way from one key frame to the next."""
    a, b = first.pieces[0], second.pieces[0]
    piece: Piece = a
    if isinstance(a, Box) and isinstance(b, Box):
        piece = Box(*(np.array(a) * (1 - share) + np.array(b) * share).tolist())
    elif isinstance(a, Polygon) and isinstance(b, Polygon) and a.exterior.shape == b.exterior.shape:
        piece = Polygon(a.exterior * (1 - share) + b.exterior * share)
    else:
        findings.count("shape between key frames held from the one before", first.where)
        return first
    findings.count("shape between key frames interpolated", first.where)
    return replace(first, pieces=(piece,))


def _records(
    file: Path, task: _Task, frames: dict[int, list[tuple[int, Drawn]]], images: Images, sequence: str,
    findings: Findings, skip_invalid: bool,
) -> list[Record]:  # fmt: skip
    """One for each frame, in order."""
    there = {} if images is False else _frame_files(file.parent, images)
    wanted = set(frames) | set(there) | (set(task.frames or ()) if images is False else set())
    search = ImageSearch(file.parent, images)
    records = []
    for frame in sorted(wanted):
        path = there.get(frame)
        name = path.name if path is not None else f"frame_{frame:06d}.png"
        found = path if path is not None else search(name)
        if found is not None:
            groups = {"sequence": sequence, "frame": str(frame)}
            drawn = tuple(d for _, d in sorted(frames.get(frame, ()), key=lambda pair: pair[0]))
            records.append(Record(name, found, 0, task.size, drawn, groups))
    if search.missing and len(search.missing) == len(wanted) and not skip_invalid:
        raise DatasetError(
            f"{file}: expected the video's frames as {file.parent / 'images'}/frame_000000.png and so on, "
            "got none; write them there (ffmpeg -i video.mp4 -start_number 0 images/frame_%06d.png), or name "
            "their folder: `--image-folder`"
        )
    search.settle(findings, skip_invalid)
    return records


def _frame_files(folder: Path, images: Images) -> dict[int, Path]:
    """The frames' images by the number at the end of their names."""
    places = [Path(images)] if isinstance(images, str | Path) else [folder / "images", folder]
    for place in places:
        found: dict[int, Path] = {}
        for path in natural_order(place.iterdir()) if place.is_dir() else ():
            digits = re.search(r"(\d{1,9})$", path.stem)
            if digits and path.suffix.lower() in SUFFIXES and path.is_file():
                found.setdefault(int(digits[1]), path)
        if found:
            return found
    return {}


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``annotations.xml`` and ``images/frame_000000.*``, one folder for each sequence.

    Images without the columns ``sequence`` and ``frame`` become the frames of one video, in their order. An
    object without an id is a track of one frame. The text of one sequence is held in memory, since a track
    stands together in the file.

    Args:
        out: the folder, which exists, or, for one sequence, the XML file.
        data: the dataset.
        losses: counts what the format cannot hold: scores, numbers of images and classes, a class that
            changes along a track.
        place: puts the images there.

    Raises:
        DatasetError: two images for one frame, or an annotation that cannot be read.
    """
    count_ids(data, losses, images=True, classes=True)
    sequences: dict[str, dict[int, int]] = {}
    for index, record in enumerate(data.records):
        frames = sequences.setdefault(record.groups.get("sequence", ""), {})
        given = record.groups.get("frame", "")
        frame = int(given) if given.isdecimal() else len(frames)
        if frame in frames:
            raise DatasetError(
                f"{record.name}: expected one image for each frame, got two for {frame}; split them"
            )
        frames[frame] = index
    single_file = out.suffix.lower() == ".xml" and not out.is_dir()
    if single_file and len(sequences) > 1:
        raise DatasetError(f"{out}: expected one sequence for one file, got {len(sequences)}; give a folder")
    for name, frames in sequences.items():
        folder = out.parent if single_file else out / safe_name(name) if len(sequences) > 1 else out
        path = out if single_file else folder / "annotations.xml"
        _write_sequence(path, name or out.stem, data, dict(sorted(frames.items())), losses)
        for frame, index in () if single_file else frames.items():
            record = data.records[index]
            suffix = PurePosixPath(safe_name(record.name)).suffix or record.path.suffix
            place(record, folder / "images" / f"frame_{frame:06d}{suffix}")


def _write_sequence(path: Path, name: str, data: Dataset, frames: dict[int, int], losses: Losses) -> None:
    tracks: dict[tuple[int, str], list[tuple[int, int, ToDraw]]] = {}
    classes: dict[int, str] = {}
    size, crowd = (0, 0), False
    loose = _LOOSE
    for frame, index in frames.items():
        record = data.records[index]
        truth, drawn = to_draw(data, index, losses)
        losses.tally(truth, record.name, "scores")
        size, crowd = size if any(size) else truth.size, crowd or bool(truth.crowd.any())
        if truth.size != size:
            raise DatasetError(
                f"{record.name}: expected frames of one size {size} (height, width), got {truth.size}; a "
                "video has one: choose cvat for single images"
            )
        met: set[int] = set()
        for z, one in enumerate(drawn):
            tracked = "frame" in record.groups and one.id is not None and 0 <= one.id < _LOOSE
            identity = one.id if tracked and one.id not in met else None
            if identity is None:
                loose += 1
                identity = loose
            met.add(identity)
            if classes.setdefault(identity, one.name) != one.name:
                losses.count("tracks", record.name)
            tracks.setdefault((identity, one.name), []).append((frame, z, one))
    if not any(size):
        size = read_size(data.records[next(iter(frames.values()))].path)
    numbers = list(frames)
    with text_file(path) as file:
        file.write(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta>\n<task>\n'
        )
        head = {"name": escaped(name), "size": len(numbers), "mode": "interpolation"}
        head |= {"start_frame": numbers[0], "stop_frame": numbers[-1]}
        file.writelines(f"<{key}>{value}</{key}>\n" for key, value in head.items())
        file.write(labels_xml(data.classes.names, data.classes.colors.tolist(), crowd))
        sides = f"<width>{size[1]}</width><height>{size[0]}</height>"
        file.write(f"\n<original_size>{sides}</original_size>\n</task>\n</meta>\n")
        used: set[int] = set()
        for (identity, label), seen in tracks.items():
            if identity in used or identity > _LOOSE:
                identity = max((*used, *(i for i, _ in tracks if i <= _LOOSE), -1)) + 1
            used.add(identity)
            file.write(f"<{tag('track', id=identity, label=label, source='manual')}>\n")
            file.writelines(_track_lines(seen, numbers))
            file.write("</track>\n")
        file.write("</annotations>\n")


def _track_lines(seen: Sequence[tuple[int, int, ToDraw]], numbers: Sequence[int]) -> Iterator[str]:
    """The shapes of one track; the frame after a stretch has the shape once more, as outside."""
    after = dict(zip(numbers, [*numbers[1:], None], strict=True))
    there = {frame for frame, _, _ in seen}
    for frame, z, one in seen:
        yield element(one, frame=frame, keyframe=1, outside=0, z_order=z) + "\n"
        following = after[frame]
        if following is not None and following not in there:
            yield element(one, frame=following, keyframe=1, outside=1, z_order=z) + "\n"
