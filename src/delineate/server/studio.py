"""The studio itself: a dataset, a database, and what a request asks of the two."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.images import read_size
from delineate.data.rasters.recent import Recent
from delineate.data.records import Dataset
from delineate.data.write import atomic

from . import bring_in, edits, tiles
from .auth import Gate
from .large import file_key, open_large
from .pyramid import SMALL_VALUES, Pyramid, SmallImage, channel_count, read_all
from .store import history, images
from .store.classes import labels
from .store.database import Database, alone
from .store.history import Outcome
from .store.objects import Stored, present
from .store.tables import images as image_table

CACHE_BYTES = 512 << 20
"""Memory for images that were looked at lately."""


BATCH = 16
"""Images whose objects are brought in together."""


@dataclass
class Studio:
    """What the server works with.

    Attributes:
        data: the dataset as it was opened.
        database: what is drawn.
        gate: who may ask.
        name: shown as the project's name.
        cache: folder for pyramids of large images and the like.
        model: name of the model in use; empty for none.
        models: names that may be chosen.
        queue: image numbers in the order in which they should be labelled; empty where nobody has ranked.
    """

    data: Dataset
    database: Database
    gate: Gate
    name: str
    cache: Path
    model: str = ""
    models: tuple[str, ...] = ()
    queue: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self._pyramids = Recent(CACHE_BYTES)
        self._opening = threading.Lock()
        self._locks: dict[int, threading.Lock] = {}
        self.closing = threading.Event()
        self.news = 0
        with self.database.write() as connection:
            alone(connection)
            images.enter(connection, self.data)

    # -- pixels ----------------------------------------------------------------------------------------

    def pyramid(self, image_id: int) -> Pyramid:
        """The image at all scales.

        Raises:
            InputError: no such image, or its file cannot be read.
        """
        found: Pyramid | None = self._pyramids.get(image_id)
        if found is not None:
            return found
        with self._opening:
            own = self._locks.setdefault(image_id, threading.Lock())
        with own:  # two tiles of one image that come at once open it once
            found = self._pyramids.get(image_id)
            if found is None:
                found = self._open(self.path(image_id))
                self._pyramids.put(image_id, found, found.nbytes)
        return found

    def path(self, image_id: int) -> Path:
        """Where the image lies.

        Raises:
            InputError: no such image.
        """
        with self.database.read() as connection:
            return Path(images.row_of(connection, image_id).path)

    def _open(self, path: Path) -> Pyramid:
        channels = self.data.channels
        height, width = read_size(path)
        count = channel_count(path) if channels is None else len(channels)
        if height * width * count > SMALL_VALUES:
            return open_large(path, channels, self.cache)
        return SmallImage(read_all(path, channels))

    def thumbnail(self, image_id: int, side: int) -> bytes:
        """The whole image within ``side`` x ``side`` pixels, as JPEG; kept on the disk.

        Raises:
            InputError: no such image, or its file cannot be read.
        """
        path = self.path(image_id)
        if not path.is_file():
            raise InputError(f"{path}: expected an image, got nothing there; put it back")
        kept = self.cache / "thumbnails" / f"{file_key(path, self.data.channels)}-{side}.jpg"
        if kept.is_file():
            return kept.read_bytes()
        known: Pyramid | None = self._pyramids.get(image_id)  # a list of thousands must not push others out
        data, _ = tiles.encode(tiles.thumbnail(known or self._open(path), side), lossless=False)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic(kept) as temporary:
            temporary.write_bytes(data)
        return data

    def pixels(self, image_id: int, box: tuple[int, int, int, int] | None = None) -> NDArray[Any]:
        """The image, or the part [x0, x1) x [y0, y1) of it, at full resolution as stored.

        Returns:
            (h, w) for one channel, else (h, w, C).
        """
        pyramid = self.pyramid(image_id)
        height, width = pyramid.size
        x0, y0, x1, y1 = box or (0, 0, width, height)
        part = pyramid.window(0, max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))
        return np.ascontiguousarray(part[:, :, 0] if pyramid.channels == 1 else part)

    # -- objects ---------------------------------------------------------------------------------------

    def ensure(self, image_id: int) -> Any:
        """The row of an image, after its size and its objects were brought in from the dataset."""
        with self.database.read() as connection:
            row = images.row_of(connection, image_id)
        if row.imported and row.width:
            return row
        found = bring_in.look(self.data, row)
        with self.database.write() as connection:
            bring_in.put(connection, [found])
            return images.row_of(connection, image_id)

    def bring_in_all(self) -> None:
        """Brings in the objects of all images, some at a time; what cannot be read is marked."""
        with self.database.read() as connection:
            query = select(image_table).where(image_table.c.imported.is_(False), image_table.c.record >= 0)
            waiting = list(connection.execute(query.order_by(image_table.c.record)))
        for begin in range(0, len(waiting), BATCH):
            found = []
            for row in waiting[begin : begin + BATCH]:
                if self.closing.is_set():
                    return
                try:
                    found.append(bring_in.look(self.data, row))
                except Exception as error:  # one bad file must not stop the rest; the list shows its fault
                    found.append(bring_in.Found(row.id, fault=str(error) or type(error).__name__))
                time.sleep(0.002)  # the page's requests come first
            with self.database.write() as connection:
                bring_in.put(connection, found)
            self.ring()

    def edit(self, image_id: int, user: str, request: Any) -> Outcome:
        """Does one edit and commits it: when this returns, it is on the disk.

        Raises:
            InputError: it cannot be done.
            ConflictError: an object was changed since the sender saw it.
        """
        self.ensure(image_id)
        passed: history.ConflictError | None = None
        with self.database.write() as connection:
            try:
                outcome = edits.apply(connection, image_id, user, request)
            except history.ConflictError as error:
                passed = error  # raised after the commit: an undo that cannot be done is passed over
        if passed is not None:
            raise passed
        self.ring()
        return outcome

    def suggest(self, image_id: int, found: Instances, user: str, model: str) -> Outcome:
        """Puts a model's objects on an image as suggestions, in place of those still open there.

        Args:
            image_id: which image.
            found: the objects; their classes are matched by name, new names become classes.
            user: who asked.
            model: the model's name, kept as the objects' author.
        """
        from .suggest import put

        self.ensure(image_id)
        with self.database.write() as connection:
            outcome = put(connection, image_id, found, user, model)
        self.ring()
        return outcome

    def objects(self, image_id: int) -> tuple[int, list[Stored]]:
        """The image's revision and its objects, in order of z."""
        self.ensure(image_id)
        with self.database.read() as connection:
            row = images.row_of(connection, image_id)
            return row.revision, present(connection, image_id, (row.height, row.width))

    def instances(self, image_id: int, suggestions: bool = False) -> Instances:
        """The image's objects as the rest of the program knows them, in order of z."""
        self.ensure(image_id)
        with self.database.read() as connection:
            row = images.row_of(connection, image_id)
            found = present(connection, image_id, (row.height, row.width))
            classes, index = labels(connection)
        shapes = [s.shape for s in found if s.shape is not None and (suggestions or not s.shape.suggested)]
        size = (row.height, row.width)
        tracks = [s.track for s in shapes]
        return Instances(
            size,
            labels=np.array([index[s.class_id] for s in shapes], np.int64),
            scores=np.array([1.0 if s.score is None else s.score for s in shapes], np.float32),
            masks=Masks.concatenate([s.mask for s in shapes]) if shapes else Masks.empty(size),
            crowd=np.array([s.crowd for s in shapes], np.bool_),
            ids=np.array(tracks, np.int64) if tracks and None not in tracks else None,
            classes=classes,
        )

    def ring(self) -> None:
        """Wakes those who wait for news."""
        self.news += 1

    def close(self) -> None:
        """Ends waiting requests and background work, and closes the database."""
        self.closing.set()
        self.ring()
        self.database.close()
