"""COCO run-length encoding, checked before it is trusted.

A COCO RLE is ``{"size": [height, width], "counts": ...}``. The counts alternate background and foreground
run lengths over the pixels in column order (down the first column, then the next), beginning with
background. They are a list of integers, or a string: each count (from the fourth on, its difference to the
count two before) in groups of five bits, low group first, the sixth bit saying that more follow, each
group written as the character 48 + group (T.-Y. Lin et al., COCO API, ``maskApi.c``).

Everything here is NumPy on whole batches; no native code sees an encoding that was not checked, and no
memory is taken that a wrong ``size`` asks for.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MaskError

MAX_PIXELS = 2**31 - 1
"""Largest height * width of an image that has masks."""
MAX_SIDE = 2**20
"""Largest height or width of an image that has masks."""

Ints = NDArray[np.int64]


def check_size(size: object, where: str = "size") -> tuple[int, int]:
    """``size`` as (height, width), two ints.

    Raises:
        MaskError: not two integers in 1..MAX_SIDE whose product is at most MAX_PIXELS.
    """
    mend = "give [height, width] of the image in pixels"
    if isinstance(size, np.ndarray):
        size = size.tolist()
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise MaskError(f"{where}: expected two integers, got {_short(size)}; {mend}")
    if any(isinstance(v, bool | np.bool_) or not isinstance(v, int | np.integer) for v in size):
        raise MaskError(f"{where}: expected two integers, got {_short(size)}; {mend}")
    height, width = int(size[0]), int(size[1])
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE and height * width <= MAX_PIXELS):
        raise MaskError(
            f"{where}: expected sides in 1..{MAX_SIDE} and at most {MAX_PIXELS} pixels, "
            f"got {_short(size)}; {mend}"
        )
    return height, width


def validate(rle: object, where: str = "rle") -> tuple[int, int]:
    """Check one COCO RLE; its (height, width).

    Args:
        rle: ``{"size": [height, width], "counts": str | bytes | list of int}``.
        where: what to call it in the error.

    Raises:
        MaskError: saying what is wrong.

    Example:
        >>> validate({"size": [2, 2], "counts": [1, 3]})
        (2, 2)
    """
    return read([rle], names=[where])[2]


def read(
    rles: Sequence[object], size: tuple[int, int] | None = None, names: Sequence[object] | None = None
) -> tuple[Ints, Ints, tuple[int, int]]:
    """The counts of N encodings of one image, checked.

    Args:
        rles: N COCO RLEs.
        size: the (height, width) all must have; default that of the first.
        names: N names for errors; default ``rle 0`` and so on.

    Returns:
        counts (K,) int64 of all, offsets (N + 1,) into them, (height, width).

    Raises:
        MaskError: any encoding is malformed or of another size.
    """
    labels = [f"rle {i}" for i in range(len(rles))] if names is None else [str(n) for n in names]
    encoded: list[Any] = []
    for rle, label in zip(rles, labels, strict=True):
        if not isinstance(rle, Mapping):
            raise MaskError(
                f"{label}: expected a dict with size and counts, got {_short(rle)}; give a COCO RLE"
            )
        for key in ("size", "counts"):
            if key not in rle:
                raise MaskError(f"{label}: expected the keys size and counts, got no {key}; add it")
        own = check_size(rle["size"], f"{label}, size")
        if size is None:
            size = own
        if own != size:
            raise MaskError(
                f"{label}: expected size {list(size)} as the image, got {list(own)}; encode at that size"
            )
        encoded.append(_plain(rle["counts"], own[0] * own[1], label))
    if size is None:
        raise MaskError("rle: expected at least one encoding or the image size, got neither; give size")
    counts, offsets = _join(encoded, labels)
    _check_counts(counts, offsets, size, labels)
    return counts, offsets, size


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO RLE of one (H, W) mask, nonzero is foreground; the counts are a string as pycocotools writes it.

    Example:
        >>> encode(np.array([[0, 1], [0, 1]], dtype=bool))
        {'size': [2, 2], 'counts': '22'}
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise MaskError(f"encode: expected a mask of shape (H, W), got {mask.shape}; give one mask")
    height, width = check_size(mask.shape, "encode")
    flat = mask.T.ravel() != 0
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate(([0] if flat[0] else [], edges, [height * width])).astype(np.int64)
    counts = np.diff(edges, prepend=0)
    text = write(counts, np.array([0, len(counts)]))[0]
    return {"size": [height, width], "counts": text}


def decode(rle: object) -> NDArray[np.bool_]:
    """The (H, W) bool mask of one COCO RLE.

    Raises:
        MaskError: the encoding is malformed.

    Example:
        >>> decode({"size": [2, 2], "counts": "22"}).tolist()
        [[False, True], [False, True]]
    """
    counts, _, (height, width) = read([rle])
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def write(counts: Ints, offsets: Ints) -> list[str]:
    """The strings of N lists of counts that lie end to end: counts (K,), offsets (N + 1,)."""
    values = counts.astype(np.int64)
    local = np.arange(len(values)) - np.repeat(offsets[:-1], np.diff(offsets))
    later = np.flatnonzero(local > 2)
    values[later] -= counts[later - 2]
    # n groups of five bits hold -2**(5n-1) .. 2**(5n-1) - 1
    groups = np.ones(len(values), dtype=np.int64)
    magnitude = np.where(values < 0, ~values, values)
    for n in range(1, 8):
        groups += magnitude >= 1 << (5 * n - 1)
    ends = np.cumsum(groups)
    text = np.empty(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    chosen, start = np.arange(len(values)), ends - groups
    for n in range(8):
        if not len(chosen):
            break
        more = groups[chosen] > n + 1
        text[start[chosen] + n] = ((values[chosen] >> (5 * n)) & 31) + 32 * more + 48
        chosen = chosen[more]
    whole = text.tobytes().decode("ascii")
    cuts = np.concatenate(([0], ends))[offsets].tolist()
    return [whole[a:b] for a, b in itertools.pairwise(cuts)]


def _plain(counts: object, pixels: int, label: str) -> bytes | Ints:
    """Counts as ASCII bytes or as integers, of the right types but not yet summed."""
    if isinstance(counts, str):
        try:
            return counts.encode("ascii")
        except UnicodeEncodeError:
            raise MaskError(
                f"{label}, counts: expected characters '0' to 'o', got others; the string is damaged"
            ) from None
    if isinstance(counts, bytes):
        return counts
    if isinstance(counts, np.ndarray):
        counts = counts.tolist()
    if not isinstance(counts, list | tuple):
        raise MaskError(
            f"{label}, counts: expected a string or a list of integers, got {_short(counts)}; encode it"
        )
    kinds = set(map(type, counts))
    if not all(issubclass(k, int | np.integer) and k is not bool for k in kinds):
        raise MaskError(f"{label}, counts: expected integers, got {_short(counts)}; write whole pixel counts")
    if counts and (min(counts) < 0 or max(counts) > pixels):
        worst = min(counts) if min(counts) < 0 else max(counts)
        raise MaskError(f"{label}, counts: expected counts in 0..{pixels}, got {worst}; the list is damaged")
    return np.array(counts, dtype=np.int64)


def _join(encoded: list[Any], labels: list[str]) -> tuple[Ints, Ints]:
    """All counts end to end; the strings are decoded in one go."""
    texts = [i for i, e in enumerate(encoded) if isinstance(e, bytes)]
    counts, offsets = _read_strings([encoded[i] for i in texts], [labels[i] for i in texts])
    if len(texts) == len(encoded):
        return counts, offsets
    for k, i in enumerate(texts):
        encoded[i] = counts[offsets[k] : offsets[k + 1]]
    sizes = [len(e) for e in encoded]
    return np.concatenate(encoded), np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)


def _read_strings(texts: list[bytes], labels: list[str]) -> tuple[Ints, Ints]:
    ends = np.cumsum([0, *map(len, texts)])
    groups = np.frombuffer(b"".join(texts), dtype=np.uint8) - np.uint8(48)
    bad = np.flatnonzero(groups > 63)
    if len(bad):
        label = labels[int(np.searchsorted(ends, bad[0], side="right")) - 1]
        raise MaskError(f"{label}, counts: expected characters '0' to 'o', got others; the string is damaged")
    last = np.flatnonzero(groups < 32)  # the group that closes each count
    filled = np.flatnonzero(np.diff(ends))
    cut = filled[groups[ends[filled + 1] - 1] >= 32]
    if len(cut):
        raise MaskError(f"{labels[cut[0]]}, counts: expected a finished count at the end, got a cut string")
    first = np.concatenate(([0], last[:-1] + 1)) if len(last) else last
    length = last - first + 1
    if len(length) and length.max() > 7:
        label = labels[int(np.searchsorted(ends, first[length.argmax()], side="right")) - 1]
        raise MaskError(
            f"{label}, counts: expected counts below 2**32, got a larger one; the string is damaged"
        )
    values = np.zeros(len(last), dtype=np.int64)
    chosen = np.arange(len(last))
    for n in range(7):
        values[chosen] |= (groups[first[chosen] + n] & 31).astype(np.int64) << (5 * n)
        chosen = chosen[length[chosen] > n + 1]
        if not len(chosen):
            break
    values -= np.where(groups[last] & 16, np.int64(1) << (5 * length), 0)
    offsets = np.searchsorted(last, ends).astype(np.int64)
    local = np.arange(len(values)) - np.repeat(offsets[:-1], np.diff(offsets))
    for chosen in (np.flatnonzero(local & 1), np.flatnonzero((local & 1 == 0) & (local >= 2))):
        values[chosen] = _running_sum(values[chosen], np.searchsorted(chosen, offsets))
    return values, offsets


def _running_sum(values: Ints, offsets: Ints) -> Ints:
    """Cumulative sums that begin anew at every offset."""
    total = np.cumsum(values)
    before = np.concatenate(([0], total))[offsets[:-1]]
    return total - np.repeat(before, np.diff(offsets))


def _check_counts(counts: Ints, offsets: Ints, size: tuple[int, int], labels: list[str]) -> None:
    negative = np.flatnonzero(counts < 0)
    if len(negative):
        label = labels[int(np.searchsorted(offsets, negative[0], side="right")) - 1]
        raise MaskError(
            f"{label}, counts: expected counts >= 0, got {counts[negative[0]]}; the encoding is damaged"
        )
    sums = np.diff(np.concatenate(([0], np.cumsum(counts)))[offsets])
    wrong = np.flatnonzero(sums != size[0] * size[1])
    if len(wrong):
        raise MaskError(
            f"{labels[wrong[0]]}: expected counts that sum to {size[0]} x {size[1]} = {size[0] * size[1]}, "
            f"got {sums[wrong[0]]}; the size or the counts are wrong"
        )


def _short(value: object) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # lists a thousand deep, numbers of a thousand digits
        return type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
