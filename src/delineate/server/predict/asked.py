"""What a request asks for beside its image, checked before anything is done."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .queue import Finding

Format = Literal["json", "coco", "geojson", "labels", "overlay", "csv"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=200)]


class Asked(BaseModel):
    """Settings of a prediction; in the address, in fields of a form, or beside the image in JSON."""

    model_config = ConfigDict(extra="forbid")

    model: Name = Field(default="", description="Which model; empty: the first.")
    confidence: Share | None = Field(default=None, description="Keep objects with a score above it.")
    iou: Share | None = Field(default=None, description="Suppress objects that overlap a better one more.")
    max_det: int | None = Field(default=None, ge=1, le=1_000_000, description="At most so many objects.")
    tile: Literal["auto", "never"] | Annotated[int, Field(ge=32, le=16384)] = Field(
        default="auto", description="Windows: as the model asks, never, or of so many pixels."
    )
    channels: str | None = Field(
        default=None, pattern=r"^\d{1,3}(,\d{1,3},\d{1,3})?$", description="One channel, or three as 0,1,2."
    )
    page: int | None = Field(default=None, ge=0, le=1_000_000, description="Page of a file of several.")
    tolerance: float = Field(
        default=0.0, ge=0, le=100, description="Pixels that outlines may be simplified by."
    )
    format: Format | None = Field(default=None, description="Of the answer; else as the header Accept says.")

    @property
    def finding(self) -> Finding:
        """The settings of the model."""
        return Finding(self.confidence, self.iou, self.max_det, 0 if self.tile == "never" else self.tile)

    @property
    def picked(self) -> tuple[int, ...] | None:
        """The channels."""
        return None if self.channels is None else tuple(int(c) for c in self.channels.split(","))


class JsonImage(Asked):
    """An image in JSON: as base64, or by its address where the server's list has it."""

    image: str | None = Field(default=None, description="The file's bytes in base64.")
    image_url: str | None = Field(default=None, max_length=2000, description="Its address.")


def over(base: Asked, more: dict[str, Any]) -> Asked:
    """Settings of a body over those of the address."""
    given = base.model_dump(exclude_unset=True) | {
        k: v for k, v in more.items() if k not in ("image", "image_url")
    }
    return Asked.model_validate(given)
