"""Time to collision: when two participants touch if both go on as they do now.

Footprints are rectangles along the headings, moving on steadily (the time-to-collision of Hayward 1972 and
Minderhoud and Bovy, "Extended time-to-collision measures for road traffic safety assessment", Accident
Analysis & Prevention 33(1), 2001, in two dimensions). Two rectangles touch while their projections overlap
on all four of their axes; the first moment of that is exact.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .participants import participant

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
COLUMNS = ("track", "other", "frame", "time_s", "ttc_s", "distance_m", "least_distance_m", "frames")


def times_to_collision(
    place: ArrayLike, velocity: ArrayLike, heading: ArrayLike, size: ArrayLike, other: tuple[ArrayLike, ...]
) -> Floats:
    """Seconds until each of P pairs touches: 0 where they do already, infinity where they will not.

    Args:
        place: (P, 2) middles of the first of each pair, metres.
        velocity: (P, 2) in m/s.
        heading: (P,) radians.
        size: (P, 2) length and width in metres.
        other: the same four of the second of each pair.

    Example:
        >>> car = ([[0.0, 0.0]], [[10.0, 0.0]], [0.0], [[4.0, 2.0]])
        >>> ahead = ([[24.0, 0.0]], [[0.0, 0.0]], [1.0], [[0.0, 0.0]])
        >>> times_to_collision(*car, ahead).round(3).tolist()
        [2.2]
    """
    here, there = (
        [np.asarray(v, np.float64) for v in part] for part in ((place, velocity, heading, size), other)
    )
    off, speed = there[0] - here[0], there[1] - here[1]
    axes = np.concatenate([_axes(here[2]), _axes(there[2])], axis=1)  # (P, 4, 2)
    half = _reach(here, axes) + _reach(there, axes)
    start, rate = (axes @ off[..., None])[..., 0], (axes @ speed[..., None])[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (-half - start) / rate, (half - start) / rate
    still = rate == 0
    apart = still & (np.abs(start) > half)
    enter = np.where(still, np.where(apart, np.inf, -np.inf), np.minimum(one, two)).max(axis=1)
    leave = np.where(still, np.where(apart, -np.inf, np.inf), np.maximum(one, two)).min(axis=1)
    found: Floats = np.where((enter <= leave) & (leave >= 0), np.maximum(enter, 0.0), np.inf)
    return found


def _axes(heading: Floats) -> Floats:
    """(P, 2, 2) along and across."""
    c, s = np.cos(heading), np.sin(heading)
    return np.stack([np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)], axis=1)


def _reach(part: list[Floats], axes: Floats) -> Floats:
    """(P, 4) how far a rectangle reaches from its middle along each axis."""
    own = _axes(part[2])
    found: Floats = (np.abs(axes @ own.transpose(0, 2, 1)) @ (part[3] / 2)[..., None])[..., 0]
    return found


def collisions(rows: pd.DataFrame, longest: float) -> pd.DataFrame:
    """Looks at all pairs of each frame.

    Args:
        rows: as :func:`delineate.tracking.trajectories.trajectories` makes them, in metres. Two columns are
            added: ``ttc_s``, the soonest collision (NaN for none), and ``ttc_with``, with which track (0).
        longest: time to collision that is told, in seconds.

    Returns:
        A row per pair, the most urgent first: ``track``, ``other``, ``frame`` and ``time_s`` when the time to
        collision was smallest, ``ttc_s`` and ``distance_m`` then, ``least_distance_m`` of their middles while
        they were on course to collide, ``frames`` for which they were.
    """
    track, place = rows["track"].to_numpy(), rows[["x_m", "y_m"]].to_numpy()
    velocity, facing, size = _bodies(rows)
    soonest, partner = np.full(len(rows), np.nan), np.zeros(len(rows), np.int64)
    speed = np.linalg.norm(velocity, axis=1)
    reach = np.linalg.norm(size, axis=1) / 2
    found: list[tuple[Ints, Ints, Floats, Floats]] = []
    order = np.argsort(rows["frame"].to_numpy(), kind="stable")
    cuts = np.flatnonzero(np.diff(rows["frame"].to_numpy()[order], prepend=-1, append=-1))
    for start, end in pairwise(cuts.tolist()):
        i, j = np.triu_indices(end - start, 1)
        a, b = order[start:end][i], order[start:end][j]
        apart = np.linalg.norm(place[a] - place[b], axis=1)
        near = apart - reach[a] - reach[b] <= longest * (speed[a] + speed[b])
        a, b, apart = a[near], b[near], apart[near]
        other = (place[b], velocity[b], facing[b], size[b])
        ttc = times_to_collision(place[a], velocity[a], facing[a], size[a], other)
        hit = ttc <= longest
        a, b, ttc = a[hit], b[hit], ttc[hit]
        for one, two in ((a, b), (b, a)):
            late = np.argsort(-ttc, kind="stable")  # the soonest is written last
            better = ~(soonest[one[late]] <= ttc[late])
            soonest[one[late][better]] = ttc[late][better]
            partner[one[late][better]] = track[two[late][better]]
        found.append((a, b, ttc, apart[hit]))
    rows["ttc_s"], rows["ttc_with"] = soonest, partner
    return _pairs(rows, found)


def _bodies(rows: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Velocity (R, 2), heading (R,) in radians and footprint (R, 2); who stands keeps the last heading."""
    names = rows["class"].unique().tolist()
    kinds = {name: participant(name) for name in names}
    size = np.array([(kinds[n].length, kinds[n].width) for n in rows["class"].tolist()]).reshape(-1, 2)
    told = pd.Series(np.radians(rows["heading_deg"].to_numpy()))
    track = rows["track"].to_numpy()
    facing = told.groupby(track).ffill().groupby(track).bfill().fillna(0.0).to_numpy()
    speed = np.where(told.notna().to_numpy(), rows["speed_m_s"].to_numpy(), 0.0)
    velocity = speed[:, None] * np.column_stack([np.cos(facing), np.sin(facing)])
    return velocity, facing, size


def _pairs(rows: pd.DataFrame, found: list[tuple[Ints, Ints, Floats, Floats]]) -> pd.DataFrame:
    """One row per pair."""
    if not found:
        return pd.DataFrame({name: pd.Series(dtype="float64") for name in COLUMNS})
    a, b, ttc, distance = (np.concatenate(part) for part in zip(*found, strict=True))
    pairs = rows.iloc[a][["track", "frame", "time_s"]].reset_index(drop=True)
    pairs = pairs.assign(other=rows["track"].to_numpy()[b], ttc_s=ttc, distance_m=distance)
    groups = pairs.groupby(["track", "other"])
    least = pairs.loc[groups["ttc_s"].idxmin()].reset_index(drop=True)
    least["least_distance_m"] = groups["distance_m"].min().to_numpy()
    least["frames"] = groups.size().to_numpy()
    return least.sort_values("ttc_s", ignore_index=True)[list(COLUMNS)]
