"""What the model does for the annotator: drawing first, clicks, the wand, the next frame, learning."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from delineate.core.errors import InputError
from delineate.core.masks import Masks

from ..answers import as_json, told
from ..assist import Assistant
from ..auth import Annotator, Asker, Reviewer
from ..jobs import Job
from ..requests import Number, Share
from ..shapes import rings_of

router = APIRouter()

MOST_POINTS = 200


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Prelabel(_Body):
    """Which model (empty: the one in use), and from which score on (none: the model's own)."""

    model: str = Field(default="", max_length=200)
    confidence: Share | None = None


class Clicks(_Body):
    """All clicks on one object so far, x, y and 1 on it or 0 beside it; a box; the object they correct."""

    points: list[tuple[Number, Number, int]] = Field(default_factory=list, max_length=MOST_POINTS)
    box: tuple[Number, Number, Number, Number] | None = None
    id: int | None = None
    class_id: int | None = None


class WandPoint(_Body):
    """A point, and how far values may differ from those there, 0..1."""

    point: tuple[Number, Number]
    tolerance: Share = 0.1


class Carry(_Body):
    """Objects (none: all) and the frame to carry them to (none: the next by name)."""

    ids: list[int] = Field(default_factory=list, max_length=10_000)
    to: int | None = None


class Training(_Body):
    """Minutes, and settings of the recipe by table, such as {"train": {"lr": 0.001}}."""

    minutes: float = Field(default=5.0, gt=0, le=7 * 24 * 60)
    recipe: dict[str, Any] = Field(default_factory=dict)


def _assistant(request: Request) -> Assistant:
    found: Assistant = request.app.state.assistant
    return found


Helped = Annotated[Assistant, Depends(_assistant)]


@router.post("/api/images/{image_id}/prelabel")
def prelabel(assistant: Helped, user: Annotator, image_id: int, body: Prelabel) -> Response:
    """A model's objects as suggestions in place of those still open: the edit, or a job for a large image."""
    found = assistant.prelabel(image_id, user.name, body.model, body.confidence)
    return as_json(found.to_json(), 202) if isinstance(found, Job) else told(found)


@router.post("/api/images/{image_id}/click")
def click(assistant: Helped, user: Annotator, image_id: int, body: Clicks) -> Response:
    """The mask that the clicks mean; nothing is changed until the page adds or replaces an object."""
    start = time.perf_counter()
    return _region(assistant.click(image_id, body.points, body.box, body.id), start)


@router.post("/api/images/{image_id}/wand")
def wand(assistant: Helped, user: Annotator, image_id: int, body: WandPoint) -> Response:
    """The region like the pixel at a point, its outline on edges."""
    start = time.perf_counter()
    return _region(assistant.wand(image_id, body.point, body.tolerance), start)


def _region(mask: Masks, start: float) -> Response:
    rle = mask.to_rle()[0]
    ms = round(1000 * (time.perf_counter() - start), 1)
    return as_json({"rings": rings_of(mask), "rle": rle, "area": int(mask.area[0]), "ms": ms})


@router.post("/api/images/{image_id}/propagate")
def propagate(assistant: Helped, user: Annotator, image_id: int, body: Carry) -> Response:
    """Objects carried to another frame, as suggestions there."""
    target, outcome = assistant.propagate(image_id, body.ids, body.to, user.name)
    return as_json(
        {"image": target, "revision": outcome.revision, "edit": outcome.edit, "objects": len(outcome.changed)}
    )


@router.get("/api/queue")
def queue(assistant: Helped, user: Annotator, strategy: str = "coverage", fresh: bool = False) -> Response:
    """The image to label next, and why; the images are looked at by a job, after which the order is known.

    While the job runs, the first image that is still to do is given.
    """
    from ..learning import next_image

    return as_json(next_image(assistant, strategy, fresh))


@router.post("/api/train")
def train(assistant: Helped, user: Reviewer, body: Training) -> Response:
    """Train the model in use on what is labelled, then use the new weights."""
    from ..learning import start_training

    return as_json(start_training(assistant, body.minutes, body.recipe).to_json(), 202)


@router.get("/api/jobs/{number}")
def job(assistant: Helped, user: Asker, number: int) -> Response:
    """Where a job stands."""
    return as_json(assistant.jobs.get(number).to_json())


@router.delete("/api/jobs/{number}")
def cancel(assistant: Helped, user: Annotator, number: int) -> Response:
    """Stop a job; a training only by a reviewer."""
    found = assistant.jobs.get(number)
    if found.kind == "train" and not user.may("reviewer"):
        raise InputError("job: expected a reviewer to stop a training, got another role; ask a reviewer")
    return as_json(assistant.jobs.cancel(number).to_json())
