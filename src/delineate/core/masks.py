"""N masks of one image as vertical runs: compact, exact, and worked on without decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import polygons, rle
from . import runs as run
from .errors import MaskError
from .overlap import shared_pixels
from .painting import label_image, stack
from .polygons import Polygon
from .stages import timed

Ints = NDArray[np.int64]


class Masks:
    """N masks on an image of ``size``; frozen.

    A mask may have parts and holes, be empty, and overlap others. It is kept as vertical runs: column, first
    row, length (12 bytes a run), so a round object of radius r costs about 24 r bytes, whatever the image.

    Attributes:
        size: (height, width) of the image in pixels.
        runs: the runs, see :class:`delineate.core.runs.Runs`.

    Example:
        >>> m = Masks.from_label_image(np.array([[1, 1, 0], [0, 2, 2]]))
        >>> len(m), m.area.tolist(), m[1].boxes.tolist()
        (2, [2, 2], [[1.0, 1.0, 3.0, 2.0]])
    """

    __slots__ = ("_boxes", "runs", "size")

    size: tuple[int, int]
    runs: run.Runs
    _boxes: Ints | None

    def __init__(self, size: tuple[int, int], runs: run.Runs) -> None:
        """Masks of canonical runs; use the ``from_`` methods to make them of anything else."""
        for array in runs:
            array.flags.writeable = False
        object.__setattr__(self, "size", rle.check_size(size, "Masks, size"))
        object.__setattr__(self, "runs", runs)
        object.__setattr__(self, "_boxes", None)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Masks are frozen; make new ones instead of setting {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Masks, (self.size, self.runs)

    # -- made of other forms ---------------------------------------------------------------------------

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Masks:
        """No masks."""
        return cls(size, run.pack(*(np.zeros(0, dtype=np.int64),) * 4, count=0))

    @classmethod
    @timed("masks")
    def from_label_image(cls, labels: ArrayLike, ids: ArrayLike | None = None) -> Masks:
        """One mask per label of an (H, W) integer image; 0 is background.

        Args:
            labels: integers >= 0 (or bool, for one object).
            ids: (N,) distinct labels to take, in this order; one that is not in the image gives an empty
                mask. Default: all labels of the image, ascending.

        Raises:
            MaskError: another shape or type, negative labels, or ids that repeat.
        """
        image = np.asarray(labels)
        if image.ndim != 2 or image.dtype.kind not in "iub":
            raise MaskError(
                f"from_label_image: expected integers of shape (H, W), got {image.dtype} {image.shape}; "
                "convert or choose one plane"
            )
        size = rle.check_size(image.shape, "from_label_image")
        if image.dtype.kind == "i" and image.min() < 0:
            raise MaskError(f"from_label_image: expected labels >= 0, got {image.min()}; set background to 0")
        if image.dtype == np.uint64 and image.max() >= 1 << 63:
            raise MaskError(f"from_label_image: expected labels below 2**63, got {image.max()}; relabel them")
        chosen = None
        if ids is not None:
            chosen = np.asarray(ids, dtype=np.int64).reshape(-1)
            if len(np.unique(chosen)) != len(chosen) or (chosen <= 0).any():
                raise MaskError("from_label_image: expected distinct ids > 0, got others; list each id once")
        return cls(size, run.from_label_image(image, chosen)[0])

    @classmethod
    def from_dense(cls, masks: ArrayLike) -> Masks:
        """Masks of an (N, H, W) array; nonzero is foreground.

        Raises:
            MaskError: another shape, or a float array (cut probabilities at a threshold first).
        """
        array = np.asarray(masks)
        if array.ndim != 3 or array.dtype.kind not in "iub":
            raise MaskError(
                f"from_dense: expected bool or integers of shape (N, H, W), got {array.dtype} {array.shape}; "
                "compare probabilities with a threshold first"
            )
        size = rle.check_size(array.shape[1:], "from_dense")
        binary = array if array.dtype == np.bool_ else array != 0
        return cls(size, run.from_crops(list(binary), np.zeros((len(binary), 2), dtype=np.int64)))

    @classmethod
    def from_crops(cls, crops: Sequence[NDArray[Any]], corners: ArrayLike, size: tuple[int, int]) -> Masks:
        """Masks of N crops, (h, w) bool each, with their top left pixels at ``corners`` (N, 2) integer xy.

        What lies outside the image is cut off.
        """
        at = np.asarray(corners).reshape(-1, 2)
        if at.size and at.dtype.kind not in "iu":
            raise MaskError(f"from_crops: expected integer corners, got {at.dtype}; round them to pixels")
        if len(at) != len(crops) or any(c.ndim != 2 for c in crops):
            raise MaskError(
                f"from_crops: expected {len(crops)} 2-D crops and as many corners, got {len(at)} corners"
            )
        binary = [c if c.dtype == np.bool_ else c != 0 for c in crops]
        size = rle.check_size(size, "from_crops, size")
        return cls(size, run.shift(run.from_crops(binary, at.astype(np.int64)), 0, 0, size))

    @classmethod
    def from_rle(
        cls,
        rles: Sequence[object],
        size: tuple[int, int] | None = None,
        names: Sequence[object] | None = None,
    ) -> Masks:
        """Masks of COCO RLEs, ``{"size": [height, width], "counts": str | bytes | list of int}`` each.

        Args:
            rles: N encodings.
            size: (height, width); needed where there are none, else a check.
            names: N names for errors, default ``rle 0`` and so on.

        Raises:
            MaskError: an encoding is malformed; nothing is decoded then.
        """
        found = None if size is None else rle.check_size(size)
        names = [f"rle {i}" for i in range(len(rles))] if names is None else names
        parts: list[run.Runs] = []
        room = run.MAX_RUNS
        for begin in range(0, max(len(rles), 1), 512):  # some at a time stay in the processor's cache
            part = slice(begin, begin + 512)
            counts, offsets, found = rle.read(rles[part], found, names[part])
            parts.append(run.from_counts(counts, offsets, found, room))
            room -= len(parts[-1].x)
        assert found is not None  # rle.read gave a size or raised
        return cls(found, run.join(parts))

    @classmethod
    def from_polygons(
        cls, objects: Sequence[Sequence[Any]], size: tuple[int, int], names: Sequence[str] | None = None
    ) -> Masks:
        """Masks of N objects, each a list of :class:`Polygon` or COCO flat lists, joined.

        See :func:`delineate.core.polygons.rasterize` for which pixels each covers.
        """
        size = rle.check_size(size, "from_polygons, size")
        return cls(size, polygons.rasterize(objects, size, names))

    @classmethod
    def paste(
        cls, probabilities: ArrayLike, boxes: ArrayLike, size: tuple[int, int], threshold: float = 0.5
    ) -> Masks:
        """Masks of a model's square probability grids resized into boxes.

        The same pixels as torchvision's ``paste_masks_in_image(...) > threshold``, from crops.

        Args:
            probabilities: (N, m, m) in 0..1.
            boxes: (N, 4) xyxy in pixels of the image.
            size: (height, width) of the image.
            threshold: foreground is strictly above.
        """
        from .paste import paste_runs

        size = rle.check_size(size, "paste, size")
        grids = np.asarray(probabilities, dtype=np.float32)
        return cls(
            size, paste_runs(grids, np.asarray(boxes, dtype=np.float32).reshape(-1, 4), size, threshold)
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Masks]) -> Masks:
        """All masks of several sets on one image, in order.

        Raises:
            MaskError: no parts, or parts of different sizes.
        """
        if not parts or any(p.size != parts[0].size for p in parts):
            sizes = sorted({p.size for p in parts})
            raise MaskError(f"Masks.concatenate: expected parts of one size, got {sizes}; do not mix images")
        return cls(parts[0].size, run.join([p.runs for p in parts]))

    # -- as a sequence ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.runs.offsets) - 1

    def __getitem__(self, index: Any) -> Masks:
        """Chosen masks; ``index`` is an int (one mask), slice, boolean mask or index array."""
        return Masks(self.size, run.take(self.runs, np.atleast_1d(np.arange(len(self))[index])))

    def __eq__(self, other: object) -> bool:
        """The same masks, pixel by pixel, in the same order, on the same size."""
        if not isinstance(other, Masks):
            return NotImplemented
        return self.size == other.size and all(np.array_equal(self.runs[k], other.runs[k]) for k in range(4))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Masks({len(self)} on {self.size[0]} x {self.size[1]}, {self.nbytes} bytes)"

    # -- what they are ---------------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Memory of the masks in bytes."""
        return sum(array.nbytes for array in self.runs)

    @property
    def area(self) -> Ints:
        """(N,) pixels of each mask."""
        return run.segment_sums(self.runs.length, self.runs.offsets)

    @property
    def boxes(self) -> NDArray[np.float32]:
        """(N, 4) tight boxes, xyxy with x2, y2 exclusive; zeros for an empty mask."""
        return self._pixel_boxes().astype(np.float32)

    def _pixel_boxes(self) -> Ints:
        found = self._boxes
        if found is None:
            found = run.boxes(self.runs)
            object.__setattr__(self, "_boxes", found)
        return found

    def dense(self) -> NDArray[np.bool_]:
        """(N, H, W) bool: N times the image's memory."""
        return stack(self.runs, self.size)

    def crop(self, i: int) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """Mask ``i`` in its tight box, (h, w) bool, and the box's corner (x0, y0); (0, 0) when empty."""
        x1, y1, x2, y2 = self._pixel_boxes()[i].tolist()
        if x2 == x1:
            return np.zeros((0, 0), dtype=np.bool_), (0, 0)
        size = (y2 - y1, x2 - x1)
        return stack(run.shift(self[i].runs, -x1, -y1, size), size)[0], (x1, y1)

    # -- moved, cut, joined ----------------------------------------------------------------------------

    def shift(self, dx: int, dy: int, size: tuple[int, int] | None = None) -> Masks:
        """Masks moved by whole pixels, cut to ``size`` (default the same); those moved out become empty."""
        size = self.size if size is None else rle.check_size(size, "shift, size")
        dx, dy = (max(-(2**31), min(int(d), 2**31)) for d in (dx, dy))
        return Masks(size, run.shift(self.runs, dx, dy, size))

    def window(self, x0: int, y0: int, x1: int, y1: int) -> Masks:
        """What shows in the window [x0, x1) x [y0, y1), in the window's own frame; some may be empty."""
        return self.shift(-int(x0), -int(y0), (int(y1) - int(y0), int(x1) - int(x0)))

    def merge(self, groups: ArrayLike) -> Masks:
        """The union of the masks of each group: groups (N,) in 0..G-1 gives G masks."""
        group = np.asarray(groups, dtype=np.int64).reshape(-1)
        if len(group) != len(self) or (group < 0).any():
            raise MaskError(
                f"merge: expected {len(self)} group numbers >= 0, got {len(group)}; give one per mask"
            )
        count = int(group.max(initial=-1)) + 1
        r = self.runs
        return Masks(self.size, run.union(group[r.owner], r.x, r.y, r.length, count, self.size))

    def union(self) -> Masks:
        """One mask of all pixels that any mask covers."""
        r = self.runs
        return Masks(self.size, run.union(np.zeros_like(r.owner), r.x, r.y, r.length, 1, self.size))

    # -- compared --------------------------------------------------------------------------------------

    def intersection_pairs(self, other: Masks) -> tuple[Ints, Ints, Ints]:
        """The pairs that share pixels: i (P,) in self, j (P,) in other, area (P,), sorted by (i, j)."""
        if self.size != other.size:
            raise MaskError(f"intersection: expected masks of one size, got {self.size} and {other.size}")
        return shared_pixels(self.runs, self._pixel_boxes(), other.runs, other._pixel_boxes())

    def iou(self, other: Masks) -> NDArray[np.float64]:
        """(N, M) intersection over union in 0..1; zero where both are empty."""
        i, j, shared = self.intersection_pairs(other)
        result = np.zeros((len(self), len(other)))
        result[i, j] = shared / (self.area[i] + other.area[j] - shared)
        return result

    # -- to other forms --------------------------------------------------------------------------------

    def to_rle(self) -> list[dict[str, Any]]:
        """N COCO RLEs, ``{"size": [height, width], "counts": str}``, the bytes that pycocotools writes."""
        texts = (rle.write(*run.to_counts(part, self.size)) for part in run.pieces(self.runs))
        return [{"size": list(self.size), "counts": text} for some in texts for text in some]

    def to_label_image(self, order: ArrayLike | None = None) -> NDArray[np.int32]:
        """(H, W) int32: 0 background, i + 1 for mask i.

        Args:
            order: the masks (indices) in painting order, later on top; default 0..N-1.
        """
        painted = np.arange(len(self)) if order is None else np.asarray(order, dtype=np.int64).reshape(-1)
        return label_image(run.take(self.runs, painted), painted + 1, self.size)

    def to_polygons(self, tolerance: float = 0.0) -> list[list[Polygon]]:
        """Per mask its 4-connected parts, each an exterior ring with holes.

        Args:
            tolerance: 0 for the exact outline along pixel edges, from which :meth:`from_polygons` gives the
                same mask; above 0, rings simplified by Douglas-Peucker to within so many pixels.
        """
        return polygons.trace(self.runs, tolerance)
