"""Files of annotation tools with something else in one place: a plain refusal or a reading, nothing else."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.images import write_png
from delineate.data.known_formats import FORMATS, guess
from delineate.data.losses import Losses
from delineate.data.place import Place
from delineate.data.records import Dataset, Record

JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 10**30, float("nan"), "", "x", "../../x", "a\0b", "\ud800", [], [[]], [None],
    {}, {"a": 1}, [1, 2, 3], [["1", "2"]] * 3, [[1, 2]] * 3, "1e999", "9" * 50,
)  # fmt: skip


def kept(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    return record.annotation, ()


def written(folder: Path, name: str) -> Path:
    """A dataset with a polygon, a mask with a hole, two parts, a crowd and a score."""
    classes, size = Labels(("a", "b")), (12, 15)
    dense = np.zeros((3, *size), np.bool_)
    dense[0, 2:6, 2:7], dense[1, 1:9, 3:11], dense[2, ::5, ::4] = True, True, True
    dense[1, 4:6, 5:7] = False
    records = []
    for frame in range(2):
        truth = Instances(
            size, masks=Masks.from_dense(dense), labels=[0, 1, 0], ids=[1, 2, 3], crowd=[False, False, True],
            scores=[1, 1, 0.5] if frame else None, classes=classes,
        )  # fmt: skip
        path = folder / f"{frame}.png"
        write_png(path, np.zeros(size, np.uint8))
        groups = {"sequence": "s", "frame": str(frame), "split": "train"}
        records.append(Record(path.name, path, frame + 1, size, truth, groups))
    out = folder / "out"
    out.mkdir()
    row = FORMATS[name]
    row.write(out, Dataset(tuple(records), classes, kept, "made", folder), Losses(), Place("link", out))
    return out


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    some = list(inner) if len(list(inner)) < 30 else [(0, value[0])] if isinstance(value, list) else []
    return [path, *(p for key, v in some for p in places(v, (*path, key)))]


def mangled(content: Any, rng: random.Random) -> Any:
    """One value replaced, or one entry taken away."""
    content = copy.deepcopy(content)
    path = rng.choice(places(content)[1:] or [()])
    if not path:
        return rng.choice(JUNK)
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    if isinstance(holder, dict) and rng.random() < 0.3:
        del holder[path[-1]]
    else:
        holder[path[-1]] = rng.choice(JUNK)
    return content


def mangled_text(text: str, rng: random.Random) -> str:
    """XML or CSV with a word or a quoted value replaced."""
    words = text.split('"')
    words[rng.randrange(len(words))] = str(rng.choice(JUNK)).encode("utf-8", "replace").decode()
    return '"'.join(words)


def looked_at(out: Path, name: str) -> None:
    guess(out)
    for skip_invalid in (False, True):
        try:
            data = FORMATS[name].read(out, skip_invalid=skip_invalid)
            for i in range(len(data)):
                data.drawn(i)
                data.truth(i)
        except DatasetError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000


@pytest.mark.parametrize(
    "name", ["labelme", "via", "via3", "label-studio", "supervisely", "cvat", "cvat-video"]
)
def test_mangled_files(name: str, tmp_path: Path) -> None:
    out = written(tmp_path, name)
    files = [p for p in sorted(out.rglob("*")) if p.suffix in (".json", ".xml", ".csv") and p.is_file()]
    rng = random.Random(1)
    for _ in range(60):
        file = rng.choice(files)
        before = file.read_text(encoding="utf-8")
        if file.suffix == ".json":
            after = json.dumps(mangled(json.loads(before), rng))
        else:
            after = mangled_text(before, rng)
        file.write_text(after, encoding="utf-8", errors="replace")
        try:
            looked_at(out, name)
        except Exception as error:
            raise AssertionError(f"{file.name}: {after[:3000]}") from error
        file.write_text(before, encoding="utf-8")
