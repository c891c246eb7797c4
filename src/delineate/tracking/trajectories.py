"""Trajectories: each participant's place, speed, heading and acceleration, in the image and on the ground."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .encounters import collisions
from .forecast import ForecastSettings, forecast
from .ground import Ground
from .participants import participants
from .plane import Plane
from .sightings import Batch, Seen, Table, batches, placed
from .smooth import SmoothSettings, smooth

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrajectorySettings:
    """What is told of each trajectory.

    Attributes:
        gap: seconds for which a participant that is not seen is still told, between two sightings.
        still: speed in m/s below which it has no heading.
        collision: longest time to collision that is told, in seconds.
        known: seconds for which a participant must have been seen before its future is told.
        every: seconds between two forecasts of one participant.
        middles: on the ground, places are the middles of footprints; else the nearest points of them.
        smoothing: of the table.
        forecast: of the future.
    """

    gap: float = 2.0
    still: float = 0.3
    collision: float = 10.0
    known: float = 0.5
    every: float = 0.2
    middles: bool = True
    smoothing: SmoothSettings = field(default_factory=SmoothSettings)
    forecast: ForecastSettings = field(default_factory=ForecastSettings)

    def __post_init__(self) -> None:
        horizons = self.forecast.horizons
        numbers = (self.gap, self.still, self.collision, self.known, self.every, *horizons)
        if not np.isfinite(numbers).all() or min(numbers) < 0 or (horizons and min(horizons) <= 0):
            raise InputError(
                f"trajectories: expected finite settings >= 0 and horizons above 0, got {self}; correct them"
            )


@dataclass(frozen=True, eq=False)
class Trajectories:
    """What is known of all participants of a video; tables by pandas, units in ``attrs["units"]``.

    Attributes:
        rows: one per participant and frame, see :func:`trajectories`.
        participants: one per participant.
        encounters: one per pair that came within reach of a collision; empty without a ground.
        forecasts: one per participant, moment and horizon.
        length: ``"m"`` on the ground, else ``"px"``.
    """

    rows: pd.DataFrame
    participants: pd.DataFrame
    encounters: pd.DataFrame
    forecasts: pd.DataFrame
    length: str


def trajectories(
    seen: Seen,
    ground: Ground | Plane | None = None,
    settings: TrajectorySettings | None = None,
) -> Trajectories:
    """Smooths all tracks of a video and tells where they go.

    The columns of ``rows``: ``track``, ``class``, ``frame``, ``time_s``, ``seen`` (False between two
    sightings), ``foot_seen`` (False also where another object hides its foot or the picture's edge cuts it:
    the place is told by the rest of the track), ``score``, ``foot_x_px``, ``foot_y_px`` (as seen), then
    smoothed ``x_m``, ``y_m``, ``sd_x_m``, ``sd_y_m`` (standard deviations), ``speed_m_s``,
    ``sd_speed_m_s``, ``heading_deg`` (counter-clockwise from x; NaN when standing), ``acceleration_m_s2``
    (along the heading), ``turn_deg_s``, and with a ground ``ttc_s``, ``ttc_with`` (the soonest collision and
    with whom; NaN, 0 for none). Without a ground ``px`` stands for ``m``; x to the right, y down, headings
    still counter-clockwise for the eye.

    Args:
        seen: the sightings.
        ground: where pixels lie; a :class:`~delineate.tracking.plane.Plane` with poses for a camera that
            moves, so that places and speeds are those on the ground that stays; None tells all in the image.
        settings: what is told.

    Returns:
        The tables, sorted by track and time.

    Raises:
        InputError: poses that are not one for each frame.
    """
    plane = Plane(ground) if isinstance(ground, Ground) else ground
    if plane is not None:
        plane.check(len(seen))
    settings = settings or TrajectorySettings()
    table, unit = seen.table(), "m" if plane is not None else "px"
    places, cov = placed(table, plane)
    tracks = partial(
        batches, table, cov=cov, times=seen.times, classes=seen.classes, metric=plane is not None
    )
    ahead: list[pd.DataFrame] = []
    if settings.forecast.horizons:
        ahead = [_ahead(b, table, seen, settings, plane) for b in tracks(places=places)]
    if plane is not None and settings.middles:
        places = _middles(tracks(places=places), table, seen, settings, plane)
    parts = [_rows(batch, table, seen, settings, unit) for batch in tracks(places=places)]
    rows = _joined(parts, _row_columns(unit)).sort_values(["track", "frame"], ignore_index=True)
    encounters = collisions(rows, settings.collision) if unit == "m" else pd.DataFrame()
    forecasts = _joined(ahead, _ahead_columns(unit))
    forecasts = forecasts.sort_values(["track", "frame", "ahead_s"], ignore_index=True)
    whole = _participants(rows, unit)
    for frame in (rows, whole, encounters, forecasts):
        frame.attrs["units"] = {name: u for name in frame if (u := unit_of(str(name)))}
    return Trajectories(rows, whole, encounters, forecasts, unit)


def unit_of(column: str) -> str:
    """The unit that a column's name ends with; empty for none.

    Example:
        >>> unit_of("acceleration_m_s2"), unit_of("speed_px_s"), unit_of("track")
        ('m/s^2', 'px/s', '')
    """
    for end, unit in (
        ("_m_s2", "m/s^2"), ("_px_s2", "px/s^2"), ("_m_s", "m/s"), ("_px_s", "px/s"), ("_deg_s", "deg/s"),
        ("_m", "m"), ("_px", "px"), ("_deg", "deg"), ("_s", "s"),
    ):  # fmt: skip
        if column.endswith(end):
            return unit
    return ""


def _row_columns(u: str) -> list[str]:
    return [
        "track", "class", "frame", "time_s", "seen", "foot_seen", "score", "foot_x_px", "foot_y_px",
        f"x_{u}", f"y_{u}", f"sd_x_{u}", f"sd_y_{u}", f"speed_{u}_s", f"sd_speed_{u}_s", "heading_deg",
        f"acceleration_{u}_s2", "turn_deg_s",
    ]  # fmt: skip


def _ahead_columns(u: str) -> list[str]:
    return [
        "track", "class", "frame", "time_s", "ahead_s", f"x_{u}", f"y_{u}", f"sd_major_{u}", f"sd_minor_{u}",
        "major_deg", f"now_x_{u}", f"now_y_{u}", f"speed_{u}_s", f"straight_x_{u}", f"straight_y_{u}",
        "turning",
    ]  # fmt: skip


def _joined(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if parts:
        return pd.concat(parts, ignore_index=True)
    kinds = {"track": "int64", "frame": "int64", "class": "object", "seen": "bool", "foot_seen": "bool"}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "float64")) for name in columns})


def _rows(batch: Batch, table: Table, seen: Seen, settings: TrajectorySettings, unit: str) -> pd.DataFrame:
    """One row per step that is seen or within a short gap."""
    state, cov = smooth(batch.steps, settings.smoothing)
    inside = np.arange(len(batch.at))[:, None] < batch.length
    told = inside & ((batch.at >= 0) | _bridged(batch, settings.gap))
    at = batch.at[told]
    owner = np.broadcast_to(batch.first, batch.at.shape)[told]
    moved, spread = state[told], cov[told]
    scale = np.broadcast_to(batch.steps.unit, told.shape)[told]
    velocity, push = moved[:, 2:4], moved[:, 4:6]
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    way = velocity / np.maximum(speed, 1e-12)[:, None]
    going = speed >= settings.still * scale
    up = 1.0 if unit == "m" else -1.0  # the image's y points down
    heading = np.degrees(np.arctan2(up * velocity[:, 1], velocity[:, 0]))
    bend = up * np.degrees(velocity[:, 0] * push[:, 1] - velocity[:, 1] * push[:, 0])
    along = np.einsum("ni,nij,nj->n", way, spread[:, 2:4, 2:4], way)
    foot = np.where((at >= 0)[:, None], table.foot[at], np.nan)
    columns = (
        table.track[owner], np.array(seen.classes.names, object)[table.label[owner]],
        seen.numbers[batch.frame[told]], seen.times[batch.frame[told]], at >= 0, batch.steps.seen[told],
        np.where(at >= 0, table.score[at], np.nan), foot[:, 0], foot[:, 1], moved[:, 0], moved[:, 1],
        np.sqrt(spread[:, 0, 0]), np.sqrt(spread[:, 1, 1]), speed, np.sqrt(np.maximum(along, 0)),
        np.where(going, heading, np.nan), np.where(going, (way * push).sum(axis=1), np.nan),
        np.where(going, bend / np.maximum(speed, 1e-12) ** 2, np.nan),
    )  # fmt: skip
    return pd.DataFrame(dict(zip(_row_columns(unit), columns, strict=True)))


def _bridged(batch: Batch, gap: float) -> NDArray[np.bool_]:
    """(T, N) steps that are seen, or between two sightings at most ``gap`` seconds apart."""
    seen, times = batch.at >= 0, batch.steps.times
    before = np.maximum.accumulate(np.where(seen, times, -np.inf), axis=0)
    after = np.minimum.accumulate(np.where(seen, times, np.inf)[::-1], axis=0)[::-1]
    found: NDArray[np.bool_] = seen | (after - before <= gap)
    return found


def _middles(
    tracks: Iterable[Batch], table: Table, seen: Seen, settings: TrajectorySettings, plane: Plane
) -> Floats:
    """(S, 2) middles of the footprints, by the headings that the feet alone tell."""
    heading, known = np.full(len(table.track), np.nan), np.zeros(len(table.track), np.bool_)
    for batch in tracks:
        state, _ = smooth(batch.steps, settings.smoothing)
        there = batch.steps.seen
        velocity = state[there][:, 2:4]
        going = np.hypot(velocity[:, 0], velocity[:, 1]) >= settings.still
        told = np.where(going, np.arctan2(velocity[:, 1], velocity[:, 0]), np.nan)
        heading[batch.at[there]], known[batch.at[there]] = told, True
    facing = pd.Series(heading).groupby(table.track).ffill().groupby(table.track).bfill().to_numpy()
    found = plane.middles(table.foot, facing, _sizes(table, seen), table.frame)
    found[~known] = np.nan
    return found


def _sizes(table: Table, seen: Seen) -> Floats:
    """(S, 2) length and width in metres."""
    kinds = [(kind.length, kind.width) for kind in participants(seen.classes)]
    return np.array(kinds, np.float64).reshape(-1, 2)[table.label]


def _ahead(
    batch: Batch, table: Table, seen: Seen, settings: TrajectorySettings, plane: Plane | None
) -> pd.DataFrame:
    """One row per forecast; the way from foot to middle is that of the heading known by then."""
    unit = "m" if plane is not None else "px"
    told = forecast(batch.steps, settings.forecast)
    age = batch.steps.times - batch.steps.times[:1]
    inside = np.arange(len(batch.at))[:, None] < batch.length
    step = np.floor(age / settings.every + 1e-6) if settings.every else np.arange(len(age))[:, None] + age * 0
    due = np.diff(step, axis=0, prepend=-1) > 0
    chosen = inside & due & batch.steps.seen & (age >= settings.known - 1e-6)
    k, n = np.nonzero(chosen)
    count = len(told.horizons)
    owner = np.repeat(batch.first[n], count)
    frame, now = np.repeat(batch.frame[k, n], count), np.repeat(told.now[k, n], count, axis=0)
    place, spread = told.places[k, n].reshape(-1, 2), told.spread[k, n].reshape(-1, 2, 2)
    if plane is not None and settings.middles:
        at, going = batch.at[k, n], np.hypot(told.now[k, n, 2], told.now[k, n, 3]) >= settings.still
        facing = np.where(going, np.arctan2(told.now[k, n, 3], told.now[k, n, 2]), np.nan)
        foot, when = table.foot[at], table.frame[at]
        shift = plane.middles(foot, facing, _sizes(table, seen)[at], when) - plane.places(foot, when)
        shift = np.repeat(shift, count, axis=0)
        place, now[:, :2] = place + shift, now[:, :2] + shift
    values, vectors = np.linalg.eigh(spread)
    major = vectors[:, :, 1] if len(spread) else np.zeros((0, 2))
    up = 1.0 if unit == "m" else -1.0
    angle = np.degrees(np.arctan2(up * major[:, 1], major[:, 0]))
    ahead = np.tile(told.horizons, len(k))
    columns = (
        table.track[owner], np.array(seen.classes.names, object)[table.label[owner]], seen.numbers[frame],
        seen.times[frame], ahead, place[:, 0], place[:, 1], np.sqrt(values[:, 1]), np.sqrt(values[:, 0]),
        (angle + 90) % 180 - 90, now[:, 0], now[:, 1], np.hypot(now[:, 2], now[:, 3]),
        now[:, 0] + now[:, 2] * ahead, now[:, 1] + now[:, 3] * ahead, np.repeat(told.turning[k, n], count),
    )  # fmt: skip
    return pd.DataFrame(dict(zip(_ahead_columns(unit), columns, strict=True)))


def _participants(rows: pd.DataFrame, u: str) -> pd.DataFrame:
    """One row per participant."""
    groups = rows.groupby("track")
    speed = groups[f"speed_{u}_s"]
    steps = np.hypot(*(groups[f"{axis}_{u}"].diff().to_numpy() for axis in "xy"))
    ends = groups[[f"x_{u}", f"y_{u}"]]
    gone = ends.last() - ends.first()
    found = {
        "class": groups["class"].first(), "first_frame": groups["frame"].first(),
        "last_frame": groups["frame"].last(), "first_s": groups["time_s"].first(),
        "last_s": groups["time_s"].last(), "frames": groups.size(), "seen": groups["seen"].sum(),
        f"path_{u}": pd.Series(steps, rows.index).groupby(rows["track"]).sum(),
        f"displacement_{u}": np.hypot(gone[f"x_{u}"], gone[f"y_{u}"]), f"speed_mean_{u}_s": speed.mean(),
        f"speed_median_{u}_s": speed.median(), f"speed_max_{u}_s": speed.max(),
        f"braking_max_{u}_s2": (-groups[f"acceleration_{u}_s2"].min()).clip(lower=0),
    }  # fmt: skip
    if "ttc_s" in rows:
        found["ttc_least_s"] = groups["ttc_s"].min()
    return pd.DataFrame(found).reset_index()
