"""What is to be done: images in folders, behind URIs and in WebDataset shards, as rows of a manifest."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

from delineate.core.errors import DatasetError, InputError
from delineate.data.find import find, natural_key
from delineate.data.sniff import SLIDES, SUFFIXES

from ..batch import names_of, stamp_of
from ..batch_outputs import KINDS, Outputs
from .chunks import Row
from .places import filesystem, is_uri

MEMBER = "!"
"""What stands between a shard and the image in it, in names: ``shard-0001.tar!cat/1.jpg``."""


def rows_of(inputs: Sequence[str], out: Path | None) -> list[Row]:
    """A row for each image that files, folders, patterns, URIs and shards stand for.

    Args:
        inputs: as :func:`delineate.data.find.find` takes them; or URIs of files, folders and patterns; or
            WebDataset shards, files that end in ``.tar``, also as ``shard-{0000..0099}.tar``.
        out: the folder of the results, where it is one of this machine.

    Returns:
        Rows with ``row``, ``path`` (of the file, or of the shard), ``file`` (what it is called in the
        manifest), ``name`` and ``stem``, ``stamp`` (size and time), ``offset`` and ``size`` in a shard, else
        -1.

    Raises:
        InputError: nothing there, a shard that cannot be read, or results among the images.
    """
    found: dict[str, dict[str, Any]] = {}
    for given in (one for text in inputs for one in braces(text)):
        for path, stamp in _files(given):
            if path.lower().endswith(".tar"):
                for name, offset, size in _members(path):
                    file = f"{path}{MEMBER}{name}"
                    found[file] = {"path": path, "stamp": stamp, "offset": offset, "size": size}
            else:
                found[path] = {"path": path, "stamp": stamp, "offset": -1, "size": -1}
    if not found:
        raise InputError("input: expected at least one image, got none; name a file, folder, URI or shard")
    local = {Path(row["path"]).resolve() for row in found.values() if not is_uri(row["path"])}
    if out is not None and any(path.parent == out.resolve() for path in local):
        raise InputError(f"--out {out}: expected another folder than that of the images, got the same one")
    stem = Outputs(Path("results" if out is None else out), KINDS).stem
    names = names_of([file.replace(MEMBER, "/") for file in found])
    rows: list[Row] = []
    for number, (file, row) in enumerate(found.items()):
        name = names[file.replace(MEMBER, "/")]
        rows.append({"row": number, "file": file, "name": name, "stem": stem(Path(name).stem), **row})
    return rows


def digest(rows: Sequence[Row]) -> str:
    """A name for a manifest: another one when an image comes, goes or changes."""
    found = hashlib.sha256()
    for row in rows:
        found.update(json.dumps([row["file"], row["stamp"], row["size"]]).encode() + b"\n")
    return found.hexdigest()


def braces(text: str) -> list[str]:
    """What a name with ranges and choices in braces stands for, as WebDataset writes them.

    Example:
        >>> braces("a-{08..10}.tar"), braces("{x,y}.tar")
        (['a-08.tar', 'a-09.tar', 'a-10.tar'], ['x.tar', 'y.tar'])
    """
    parts = re.split(r"\{([^{}]*)\}", text)
    choices: list[list[str]] = []
    for number, part in enumerate(parts):
        if number % 2 == 0:
            choices.append([part])
        elif between := re.fullmatch(r"(\d+)\.\.(\d+)", part):
            first, last = int(between[1]), int(between[2])
            choices.append([str(k).zfill(len(between[1])) for k in range(first, last + 1)])
        elif "," in part:
            choices.append(part.split(","))
        else:
            choices.append([f"{{{part}}}"])
    return ["".join(one) for one in product(*choices)]


@contextmanager
def local_file(row: Row) -> Iterator[Path]:
    """The image of a row as a file of this machine, for as long as the block lasts."""
    if row["offset"] < 0 and not is_uri(row["path"]):
        yield Path(row["path"])
        return
    with tempfile.TemporaryDirectory(prefix="delineate-") as folder:
        place = Path(folder) / (PurePosixPath(row["name"]).name or "image")
        place.write_bytes(_content(row))
        yield place


def _content(row: Row) -> bytes:
    path, start, size = row["path"], row["offset"], row["size"]
    try:
        if not is_uri(path):
            with Path(path).open("rb") as file:
                file.seek(start)
                data = file.read(size)
        else:
            system, inside = filesystem(path)
            limits = {} if start < 0 else {"start": start, "end": start + size}
            data = system.cat_file(inside, **limits)
    except Exception as error:  # each protocol has its own
        said = " ".join((str(error) or type(error).__name__).split())
        raise InputError(
            f"{row['file']}: expected a file that can be read, got {said}; check it is there"
        ) from None
    if start >= 0 and len(data) != size:
        raise InputError(f"{row['file']}: expected {size} bytes, got {len(data)}; the shard is cut off")
    return bytes(data)


def _files(given: str) -> Iterator[tuple[str, str]]:
    """Path and stamp of each file that an input stands for."""
    if not is_uri(given):
        for path in find([given]):
            yield str(path), stamp_of(str(path))
        return
    system, inside = filesystem(given)
    try:
        if any(sign in inside for sign in "*?["):
            found = system.glob(inside, detail=True)
        elif system.isdir(inside):
            listed = {one["name"]: one for one in system.ls(inside, detail=True)}
            endings = (*SUFFIXES, ".svs", ".tar", *SLIDES)
            found = {
                name: one
                for name, one in listed.items()
                if name.lower().endswith(endings) and name.rpartition("/")[2][0] != "."
            }
        else:
            found = {inside: system.info(inside)}
    except FileNotFoundError:
        found = {}
    except Exception as error:  # each protocol has its own
        said = " ".join((str(error) or type(error).__name__).split())
        raise InputError(f"{given}: expected a place that can be listed, got {said}; check it") from None
    files = {name: one for name, one in found.items() if one.get("type") != "directory"}
    if not files:
        raise InputError(f"{given}: expected images or shards, got none there; check the spelling")
    for name in sorted(files, key=lambda n: (natural_key(n.rpartition("/")[0]), natural_key(n))):
        one = files[name]
        when = next((one[key] for key in ("ETag", "mtime", "LastModified", "created") if key in one), "")
        yield str(system.unstrip_protocol(name)), f"{one.get('size')}-{when}"


def _members(path: str) -> Iterator[tuple[str, int, int]]:
    """Name, place and size of each image in a shard, from its headers.

    Raises:
        DatasetError: compressed, damaged, or without images.
    """
    count = 0
    try:
        with _opened(path) as file, tarfile.open(fileobj=file, mode="r:") as shard:
            for member in shard:
                name = member.name
                if not member.isreg() or member.issparse() or not name.lower().endswith(SUFFIXES):
                    continue
                clean = "/".join(p for p in PurePosixPath(name).parts if p not in ("/", "..", "."))
                yield clean, member.offset_data, member.size
                count += 1
    except (tarfile.TarError, EOFError, OSError) as error:
        said = " ".join((str(error) or type(error).__name__).split())
        raise DatasetError(
            f"{path}: expected a tar archive without compression, got {said}; pack it anew with `tar -cf`"
        ) from None
    if not count:
        raise DatasetError(
            f"{path}: expected images ({', '.join(SUFFIXES[:5])}, …) in the shard, got none; check it"
        )


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    if not is_uri(path):
        with Path(path).open("rb") as file:
            yield file
        return
    system, inside = filesystem(path)
    with system.open(inside, "rb") as file:
        yield file
