"""The model's part in the studio: drawing first, clicks to masks, the wand, the next frame."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from delineate.apply.wand import wand
from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.data.rasters.recent import Recent

from .jobs import Job, Jobs
from .store import history
from .store.history import Change, Outcome
from .store.objects import Shape, present
from .store.tables import images as image_table

if TYPE_CHECKING:
    from delineate.engine.click import Clicker
    from delineate.engine.load import Model

    from .studio import Studio

Point = tuple[float, float, int]
Box = tuple[float, float, float, float]

AT_ONCE = 4_000_000  # pixels of an image that a model draws on while the page waits; a job beyond
WAND_SIDE = 1024  # pixels of the window in which the wand works
OVERVIEW = 2048  # pixels of the longer side
CLICK_BYTES = 32 << 20
LOOKING = 0.05  # confidence of what the queue judges


class Lazy:
    """An image of the studio as an array of which only the parts asked for are read.

    Attributes:
        shape: (H, W), or (H, W, 3) for colours.
    """

    def __init__(self, studio: Studio, image_id: int) -> None:
        self._pyramid = studio.pyramid(image_id)
        self.shape: tuple[int, ...] = (
            (*self._pyramid.size, 3) if self._pyramid.channels >= 3 else self._pyramid.size
        )

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[Any]:
        """The pixels of two slices, rows and columns."""
        (y0, y1, dy), (x0, x1, dx) = (s.indices(n) for s, n in zip(part, self.shape, strict=False))
        return plain(self._pyramid.window(0, x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))[::dy, ::dx]


def plain(pixels: NDArray[Any]) -> NDArray[Any]:
    """(h, w, C) as a model takes it: the first three channels, or the first where there are fewer."""
    return np.ascontiguousarray(pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, 0])


class Assistant:
    """What the model does for the annotator.

    Args:
        studio: the studio it works in.
        trained: weights of models that were trained here, by name.
    """

    def __init__(self, studio: Studio, trained: dict[str, Path]) -> None:
        self.studio = studio
        self.jobs = Jobs()
        self.trained = trained
        given = (studio.model,) if studio.model else ()
        studio.models = tuple(dict.fromkeys((*given, *studio.models, *reversed(trained), *_embedded())))
        self.ranked_by = ""  # the strategy of the studio's queue
        self.reasons: dict[int, str] = {}  # of each image's place in it
        self._models: dict[str, Model] = {}
        self._clicks = Recent(CLICK_BYTES)
        self._loading = threading.Lock()

    # -- models ----------------------------------------------------------------------------------------

    def model(self, name: str = "") -> Model:
        """A model by name, loaded once.

        Args:
            name: of the zoo or of one trained here; empty: the one the studio was started with, or that
                it trained last, or the default. Files are not taken from requests.

        Raises:
            InputError: unknown, or its weights cannot be had.
        """
        from delineate.engine.load import DEFAULT, load
        from delineate.models.zoo import ZOO

        chosen = name or self.studio.model or DEFAULT
        if chosen not in ZOO and chosen not in self.trained and chosen != self.studio.model:
            raise InputError(
                f"model: expected one of {', '.join(self.studio.models)} or a name of `delineate models`, "
                f"got {chosen!r}; choose one of them"
            )
        with self._loading:
            if chosen not in self._models:
                path = self.trained.get(chosen)
                self._models[chosen] = load(chosen) if path is None else load(weights=path)
            return self._models[chosen]

    def use(self, name: str, weights: Path) -> None:
        """Put newly trained weights to use from the next request on."""
        with self._loading:
            self.trained[name] = weights
            self._models.pop(name, None)
        self.studio.models = tuple(dict.fromkeys((*self.studio.models, name)))
        self.studio.model = name
        self.studio.ring()

    @property
    def clicker(self) -> Clicker:
        """The click network."""
        from delineate.engine.click import load_clicker

        return load_clicker()

    def warm(self) -> None:
        """Load the click network and let it look once, so that the first click does not wait for it."""
        from delineate.metrics.clicks import Click

        self.clicker.segment(np.zeros((64, 64), np.uint8), [Click(32.0, 32.0)])

    # -- drawing first ---------------------------------------------------------------------------------

    def prelabel(self, image_id: int, user: str, name: str, confidence: float | None) -> Outcome | Job:
        """A model's objects as suggestions; for a large image a job."""
        row = self.studio.ensure(image_id)
        model = self.model(name)
        shown = name or self.studio.model or model.name
        if row.width * row.height <= AT_ONCE:
            return self._draw(image_id, user, model, shown, confidence, None)

        def work(job: Job) -> None:
            outcome = self._draw(image_id, user, model, shown, confidence, job)
            job.result = {"image": image_id, "revision": outcome.revision}
            job.text = f"{shown} suggests {len(outcome.changed)} objects"

        return self.jobs.start("prelabel", work, f"{shown} draws on {row.name}", alone=False)

    def _draw(
        self, image_id: int, user: str, model: Model, shown: str, confidence: float | None, job: Job | None
    ) -> Outcome:
        def tell(done: int, total: int) -> None:
            if job is not None:
                job.progress = done / max(1, total)
                if job.stop.is_set():
                    raise InputError("prelabel: stopped before the end; nothing was changed")

        found = model.predict(self.whole(image_id), confidence=confidence, progress=tell)
        return self.studio.suggest(image_id, found, user, shown)

    def whole(self, image_id: int) -> NDArray[Any]:
        """All pixels of an image, as models take them."""
        pixels = self.studio.pixels(image_id)
        return pixels if pixels.ndim == 2 else plain(pixels)

    def overview(self, image_id: int) -> NDArray[Any]:
        """The whole image, reduced where it is large, as models take it."""
        pyramid, level = self.studio.pyramid(image_id), 0
        while max(pyramid.level_size(level)) > OVERVIEW:
            level += 1
        height, width = pyramid.level_size(level)
        return plain(pyramid.window(level, 0, 0, width, height))

    # -- clicks ----------------------------------------------------------------------------------------

    def click(self, image_id: int, points: Sequence[Point], box: Box | None, number: int | None) -> Masks:
        """The mask that all clicks on one object mean; each click corrects what the ones before gave.

        Args:
            image_id: which image.
            points: x, y and 1 on the object, 0 beside it; in the order in which they were made.
            box: around the object, or None.
            number: an object of the image that the clicks correct, or None for a new one.

        Raises:
            InputError: nothing to go by, points outside, or no such object.
        """
        from delineate.metrics.clicks import Click

        self.studio.ensure(image_id)
        image: Any = Lazy(self.studio, image_id)
        clicks = [Click(x, y, bool(on)) for x, y, on in points]
        start, stamp = (None, 0) if number is None else self._object(image_id, number)
        known = (image_id, number, stamp, box)
        done, mask = 0, start
        for k in range(len(clicks), 0, -1):  # what the page saw a click ago is still known
            found = self._clicks.get((*known, tuple(clicks[:k])))
            if found is not None:
                done, mask = k, found
                break
        for k in range(done + 1, len(clicks) + 1) if clicks else (0,):
            if mask is None and box is None and not any(c.positive for c in clicks[:k]):
                continue
            mask = self.clicker.segment(image, clicks[:k], box=box, before=mask)
            self._clicks.put((*known, tuple(clicks[:k])), mask, mask.nbytes + 200)
        if mask is None:
            raise InputError(
                "click: expected a point on the object or a box, got neither; click on the object"
            )
        return mask

    def _object(self, image_id: int, number: int) -> tuple[Masks, int]:
        """The mask of one object, and its version."""
        with self.studio.database.read() as connection:
            row = connection.execute(select(image_table).where(image_table.c.id == image_id)).one()
            found = present(connection, image_id, (row.height, row.width), [number])
        if not found or found[0].shape is None:
            raise InputError(f"object {number}: expected one of this image, got an unknown number; reload")
        return found[0].shape.mask, found[0].version

    def wand(self, image_id: int, point: tuple[float, float], tolerance: float) -> Masks:
        """The region like the pixel at a point; see :func:`delineate.apply.wand.wand`."""
        from delineate.core.input_spec import to_rgb_float

        row = self.studio.ensure(image_id)
        x, y = point
        if not (0 <= x < row.width and 0 <= y < row.height):
            raise InputError(f"wand: expected a point on the image, got {x:g}, {y:g}; click on the image")
        x0, y0 = (max(0, int(v) - WAND_SIDE // 2) for v in (x, y))
        x0, y0 = max(0, min(x0, row.width - WAND_SIDE)), max(0, min(y0, row.height - WAND_SIDE))
        box = (x0, y0, min(row.width, x0 + WAND_SIDE), min(row.height, y0 + WAND_SIDE))
        pixels = self.studio.pixels(image_id, box)
        shown = to_rgb_float(pixels if pixels.ndim == 2 else plain(pixels), "percentile")
        region = wand(shown, (x - x0, y - y0), tolerance)
        return Masks.from_crops([region], np.array([[x0, y0]]), (row.height, row.width))

    # -- the next frame --------------------------------------------------------------------------------

    def propagate(self, image_id: int, ids: Sequence[int], to: int | None, user: str) -> tuple[int, Outcome]:
        """Objects carried to another frame, as suggestions there; one edit, which can be undone.

        Args:
            image_id: the frame that has the objects.
            ids: which of them; none: all.
            to: the other frame; None: the next by name.
            user: who asks.

        Returns:
            The other frame's number, and what was done there.

        Raises:
            InputError: no such frame or object, or frames of different sizes.
        """
        from delineate.engine.propagate import propagate

        row = self.studio.ensure(image_id)
        target = self._next(row.name) if to is None else to
        self.studio.ensure(target)
        _, stored = self.studio.objects(image_id)
        shapes = [s.shape for s in stored if s.shape is not None and (not ids or s.id in set(ids))]
        if len(shapes) < len(set(ids)) or not shapes:
            raise InputError(
                f"propagate: expected objects of image {image_id}, got an unknown number; reload"
            )
        masks = Masks.concatenate([shape.mask for shape in shapes])
        frames: list[Any] = [Lazy(self.studio, number) for number in (image_id, target)]
        moved = propagate(masks, frames[0], frames[1])
        return target, self._put(target, shapes, moved, user)

    def _next(self, name: str) -> int:
        query = (
            select(image_table.c.id).where(image_table.c.name > name).order_by(image_table.c.name).limit(1)
        )
        with self.studio.database.read() as connection:
            found = connection.execute(query).scalar()
        if found is None:
            raise InputError(f"propagate: expected a frame after {name}, got the last one; name another")
        return int(found)

    def _put(self, image_id: int, shapes: Sequence[Shape], moved: Masks, user: str) -> Outcome:
        with self.studio.database.write() as connection:
            image = history.lock(connection, image_id)
            there = present(connection, image_id, image.size)
            top = max((s.shape.z for s in there if s.shape is not None), default=-1)
            changes = [
                Change(
                    None,
                    Shape(
                        moved[i], shape.class_id, source="model", suggested=True, z=top + 1 + i,
                        crowd=shape.crowd, track=shape.track, author="propagate",
                    ),
                )
                for i, shape in enumerate(shapes)
                if moved[i].area[0]
            ]  # fmt: skip
            summary = f"carry {len(changes)} objects here"
            outcome = history.record(connection, image, user, "propagate", summary, changes)
        self.studio.ring()
        return outcome

    def close(self) -> None:
        """Stop all jobs."""
        self.jobs.close()


def _embedded() -> list[str]:
    """Models whose weights are part of the package."""
    from delineate.models.zoo import ZOO

    return [name for name, entry in ZOO.items() if entry.source == "embedded"]
