"""The bodies of the API's requests, checked before anything is done."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e7)]
Ids = Annotated[list[int], Field(min_length=1, max_length=100_000)]
Flat = Annotated[list[Number], Field(min_length=6, max_length=400_000)]
Point = tuple[Number, Number]
Share = Annotated[float, Field(ge=0, le=1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Stroke(_Body):
    """A path of a brush: points (K, 2) xy in pixels, and its radius."""

    points: list[Point] = Field(min_length=1, max_length=100_000)
    radius: float = Field(gt=0, le=10_000)


class Geometry(_Body):
    """One of: rings (flat x0, y0, x1, y1, ..; even-odd), a stroke, a box x1, y1, x2, y2, a COCO RLE."""

    rings: list[Flat] | None = Field(default=None, min_length=1, max_length=20_000)
    stroke: Stroke | None = None
    box: tuple[Number, Number, Number, Number] | None = None
    rle: dict[str, Any] | None = None


class _Edit(_Body):
    versions: dict[int, int] = Field(default_factory=dict)

    def touched(self) -> list[int]:
        """Ids of the objects whose versions must be those that the sender saw."""
        one = getattr(self, "id", None)
        many = getattr(self, "ids", None)
        return [one] if one is not None else list(dict.fromkeys(many or ()))


class Add(_Edit):
    """A new object."""

    op: Literal["add"]
    class_id: int
    geometry: Geometry
    score: Share | None = None


class Brush(_Edit):
    """Paint onto an object, or erase from it; erasing all of it deletes it."""

    op: Literal["brush"]
    id: int
    points: list[Point] = Field(min_length=1, max_length=100_000)
    radius: float = Field(gt=0, le=10_000)
    erase: bool = False


class Replace(_Edit):
    """Another outline for an object."""

    op: Literal["replace"]
    id: int
    geometry: Geometry


class Delete(_Edit):
    """Delete objects."""

    op: Literal["delete"]
    ids: Ids


class SetClass(_Edit):
    """Another class for objects."""

    op: Literal["set_class"]
    ids: Ids
    class_id: int


class Split(_Edit):
    """Cut an object along a line; without a line into its parts."""

    op: Literal["split"]
    id: int
    line: list[Point] = Field(default_factory=list, max_length=100_000)


class Merge(_Edit):
    """Join objects; the first of them keeps its class."""

    op: Literal["merge"]
    ids: Annotated[list[int], Field(min_length=2, max_length=10_000)]


class Hole(_Edit):
    """Take an outline out of an object."""

    op: Literal["hole"]
    id: int
    rings: list[Flat] = Field(min_length=1, max_length=20_000)


class FillHoles(_Edit):
    """Close all holes of an object."""

    op: Literal["fill_holes"]
    id: int


class Move(_Edit):
    """Move objects by whole pixels (rounded); what leaves the image is cut off."""

    op: Literal["move"]
    ids: Ids
    dx: Number
    dy: Number


class Order(_Edit):
    """Put objects on top of all others or below."""

    op: Literal["order"]
    ids: Ids
    to: Literal["front", "back"]


class Accept(_Edit):
    """Accept suggestions: these, or all of at least this score."""

    op: Literal["accept"]
    ids: Ids | None = None
    confidence: Share | None = None


class Reject(_Edit):
    """Delete suggestions: these, or all below this score."""

    op: Literal["reject"]
    ids: Ids | None = None
    below: Share | None = None


class Crowd(_Edit):
    """Say that objects stand for groups, or that they do not."""

    op: Literal["crowd"]
    ids: Ids
    value: bool


class Remark(_Edit):
    """A comment on one object; empty removes it."""

    op: Literal["comment"]
    id: int
    text: str = Field(max_length=10_000)


class Undo(_Edit):
    """Take the user's own last edit back."""

    op: Literal["undo"]


class Redo(_Edit):
    """Make it again."""

    op: Literal["redo"]


class Restore(_Edit):
    """All objects as they were right after an edit."""

    op: Literal["restore"]
    edit: int


Edit = Annotated[
    Add | Brush | Replace | Delete | SetClass | Split | Merge | Hole | FillHoles | Move | Order | Accept
    | Reject | Crowd | Remark | Undo | Redo | Restore,
    Field(discriminator="op"),
]  # fmt: skip

State = Literal["todo", "done", "reviewed", "rejected"]


class ImageState(_Body):
    """Another state for an image; ``version`` is the one that the sender saw."""

    state: State
    version: int


class CommentText(_Body):
    """A comment on an image."""

    text: str = Field(min_length=1, max_length=10_000)


class NewClass(_Body):
    """A class: its name, and its colour ``#rrggbb`` (one is chosen where it is left out)."""

    name: str = Field(min_length=1, max_length=200)
    color: str | None = Field(default=None, pattern="^#[0-9a-fA-F]{6}$")


class ClassChange(_Body):
    """Another name or colour."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    color: str | None = Field(default=None, pattern="^#[0-9a-fA-F]{6}$")


class ExportRequest(_Body):
    """Which format, which states of images (none: all), and whether suggestions and images go along.

    ``path`` writes to the server's machine, and is for a studio on one's own.
    """

    format: str = "coco"
    states: list[State] = Field(default_factory=list)
    suggestions: bool = False
    images: Literal["none", "copy", "link"] = "none"
    path: str = ""
