"""Depth images: 16-bit PNG and TIFF, float TIFF, NumPy arrays; in metres, NaN where there is no depth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .images import read
from .npy import load_npy

NEAREST, FARTHEST = 0.05, 30.0
"""Metres between which the middle depth of a frame must lie; else its scale is wrong."""
MILLIMETRE = 0.001


@dataclass(frozen=True, eq=False)
class Depth:
    """A depth image.

    Attributes:
        metres: (H, W) float32 along the camera's z; NaN where there is none.
        scale: metres of one stored unit.
        turned: bits by which the stored numbers were rotated to the left.
        notes: how it was read, and what is in doubt.
    """

    metres: NDArray[np.float32]
    scale: float
    turned: int
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """``26 % of pixels have a depth, 0.35 to 0.79 m (5 to 95 %), 0.0001 m a unit, rotated by 3 bits``."""
        valid = self.metres[np.isfinite(self.metres)]
        low, high = np.percentile(valid, (5, 95))
        turned = f", rotated by {self.turned} bits" if self.turned else ""
        return (
            f"{100 * valid.size / self.metres.size:.0f} % of pixels have a depth, {low:.2f} to {high:.2f} m "
            f"(5 to 95 %), {self.scale:g} m a unit{turned}"
        )


def read_depth(path: str | Path, scale: float | None = None, turned: int | None = None) -> Depth:
    """Reads a depth image.

    Args:
        path: a grey PNG or TIFF, or ``.npy`` of shape (H, W).
        scale: metres of one stored unit. None: 0.001 for integers (millimetres), 1 for floats.
        turned: bits by which 16-bit numbers are rotated to the left, as some recorders keep them; 0 for none.
            None: 0, but numbers that look rotated are refused.

    Raises:
        InputError: damaged, several channels, no depth at all, or a scale that cannot be right: the middle
            depth is then nearer than 5 cm or farther than 30 m.
    """
    path = Path(path)
    stored = _stored(path)
    if scale is not None and not (np.isfinite(scale) and scale > 0):
        raise InputError(
            f"depth scale: expected metres a unit above 0, got {scale}; give 0.001 for millimetres"
        )
    if turned is not None and not (0 <= turned < 16 and (stored.dtype == np.uint16 or not turned)):
        raise InputError(
            f"{path}: expected 16-bit depth rotated by 0 to 15 bits, got {stored.dtype} and {turned}; give "
            "--depth-rotated 0 where the camera's file is about another recording, and --depth-scale"
        )
    if turned is None and _looks_turned(stored):
        raise InputError(
            f"{path}: expected depth in plain units, got numbers whose lowest 3 bits are nearly all 0, as if "
            "rotated to the left by 3 bits; give --depth-rotated 3, or 0 if they are meant so"
        )
    if turned:
        stored = (stored >> turned) | (stored << (16 - turned))
    unit = scale if scale is not None else MILLIMETRE if stored.dtype.kind in "iu" else 1.0
    metres = stored.astype(np.float32) * np.float32(unit)
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    _check(metres, path, unit)
    return Depth(metres, float(unit), turned or 0)


def _stored(path: Path) -> NDArray[Any]:
    """(H, W) as the file has it."""
    if path.suffix.lower() == ".npy":
        stored = load_npy(path)
    else:
        stored = read(path, channels=None).pixels
    if stored.ndim == 3 and stored.shape[2] == 3 and (stored == stored[:, :, :1]).all():
        stored = stored[:, :, 0]
    if stored.ndim != 2 or stored.dtype.kind not in "iuf" or not stored.size:
        raise InputError(
            f"{path}: expected depth as one channel of numbers (H, W), got {stored.dtype} {stored.shape}; a "
            "picture coloured by depth is of no use: save the depth itself as 16-bit PNG"
        )
    if stored.dtype == np.uint8:
        raise InputError(
            f"{path}: expected depth of 16 bits or more, got 8 bits, too coarse to grasp by; save it as "
            "16-bit PNG"
        )
    return stored


def _looks_turned(stored: NDArray[Any]) -> bool:
    """Nearly all numbers are multiples of 8, or of that plus one: 13 bits of depth, rotated by 3."""
    if stored.dtype != np.uint16:
        return False
    some = stored[stored > 0]
    return bool(some.size > 100 and ((some & 7) <= 1).mean() > 0.999 and some.max() > 8192)


def _check(metres: NDArray[np.float32], path: Path, unit: float) -> None:
    valid = metres[np.isfinite(metres)]
    if not valid.size:
        raise InputError(f"{path}: expected some pixels with a depth above 0, got none; check the recording")
    middle = float(np.median(valid))
    if not NEAREST <= middle <= FARTHEST:
        raise InputError(
            f"{path}: expected depths of {NEAREST:g} to {FARTHEST:g} m, got {middle:.3g} m in the middle "
            f"with {unit:g} m a unit; give --depth-scale, as 0.001 for millimetres"
        )


__all__ = ["Depth", "read_depth"]
