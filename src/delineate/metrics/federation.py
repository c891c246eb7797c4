"""Which classes were looked for in which image: what a federated dataset knows, and what it does not.

Gupta, Dollár and Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019,
section 3. With a thousand classes nobody labels every object of every class. Of each image it is known which
classes occur (those of its objects), which do not (``neg_category_ids``), and of which only some objects are
labelled (``not_exhaustive_category_ids``); of all other classes nothing is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError

FREQUENCIES = ("r", "c", "f")
"""Rare (1 to 10 training images), common (11 to 100), frequent."""


@dataclass(frozen=True)
class Federation:
    """What a federated dataset says beside its objects, by the dataset's own ids.

    Attributes:
        frequency: class id -> ``"r"``, ``"c"`` or ``"f"``.
        absent: image id -> classes known not to occur.
        incomplete: image id -> classes of which not all objects are labelled.

    Example:
        >>> images = [{"id": 7, "neg_category_ids": [2], "not_exhaustive_category_ids": []}]
        >>> known = Federation.of_records(images, [{"id": 1, "frequency": "r"}, {"id": 2, "frequency": "f"}])
        >>> known.frequency[1], known.absent[7], known.incomplete[7]
        ('r', (2,), ())
    """

    frequency: Mapping[int, str]
    absent: Mapping[int, tuple[int, ...]] = field(repr=False)
    incomplete: Mapping[int, tuple[int, ...]] = field(repr=False)

    @classmethod
    def of_records(
        cls,
        images: Iterable[Mapping[str, Any]],
        categories: Iterable[Mapping[str, Any]],
        where: str = "LVIS truth",
    ) -> Federation:
        """Of an LVIS file's ``images`` and ``categories``.

        Args:
            images: with ``id``, ``neg_category_ids`` and ``not_exhaustive_category_ids``.
            categories: with ``id`` and ``frequency``.
            where: the file's name, for errors.

        Raises:
            InputError: a field is missing or is not what it should be.
        """
        frequency: dict[int, str] = {}
        for record in categories:
            if record.get("frequency") not in FREQUENCIES:
                raise InputError(
                    f"{where}, category {record.get('id')}: expected a frequency r, c or f, "
                    f"got {record.get('frequency')!r}; give LVIS annotations"
                )
            frequency[int(record["id"])] = record["frequency"]
        absent: dict[int, tuple[int, ...]] = {}
        incomplete: dict[int, tuple[int, ...]] = {}
        for record in images:
            for name, table in (("neg_category_ids", absent), ("not_exhaustive_category_ids", incomplete)):
                ids = record.get(name)
                if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
                    raise InputError(
                        f"{where}, image {record.get('id')}: expected {name}, a list of class ids, "
                        f"got {ids!r}; give LVIS annotations, or use AveragePrecision"
                    )
                table[int(record["id"])] = tuple(ids)
        return cls(frequency, absent, incomplete)

    @classmethod
    def of(cls, source: Any) -> Federation:
        """Of the JSON file of LVIS annotations that ``source`` is or was read from.

        Args:
            source: a path, a dataset that has its path as ``source``, or a federation, which is given back.

        Raises:
            InputError: there is no such file, or it is not LVIS.
        """
        if isinstance(source, Federation):
            return source
        path = Path(source if isinstance(source, str | Path) else getattr(source, "source", ""))
        try:
            return _read(path, path.stat().st_mtime_ns)
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(
                f"lvis: expected a JSON file of LVIS annotations as the data, got {str(path)!r} "
                f"({type(error).__name__}); give lvis_v1_val.json"
            ) from None


@lru_cache(maxsize=1)
def _read(path: Path, _changed: int) -> Federation:
    """Of one file, read once for all groups of images."""
    document = json.loads(path.read_text(encoding="utf-8"))
    parts = [document.get(name) if isinstance(document, dict) else None for name in ("images", "categories")]
    if any(not isinstance(p, list) or not all(isinstance(r, dict) for r in p) for p in parts):
        raise InputError(
            f"{path}: expected LVIS annotations with images and categories, got others; give lvis_v1_val.json"
        )
    return Federation.of_records(parts[0] or [], parts[1] or [], str(path))
