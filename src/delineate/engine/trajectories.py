"""Trajectories of tracks from files: tables with units, a picture from above, errors of the forecasts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delineate import __version__
from delineate.apply.birds_eye import Way, birds_eye
from delineate.core.errors import InputError, MissingDependencyError
from delineate.data.tracks import TrackSequence
from delineate.data.write import atomic
from delineate.metrics.forecast import ForecastErrors, ForecastReport
from delineate.tracking.plane import Plane
from delineate.tracking.sightings import Seen
from delineate.tracking.trajectories import Trajectories, TrajectorySettings, trajectories

from .measure_tables import plain_table

TABLES = ("rows", "participants", "encounters", "forecasts")
FILES = {"rows": "trajectories", "participants": "participants", "encounters": "encounters",
         "forecasts": "forecasts"}  # fmt: skip
SAVES = ("parquet", "csv", "picture")
DRAWN = 300  # most participants in the picture: those with the longest ways


def sightings(
    tracks: TrackSequence,
    rate: float = 30.0,
    classes: Sequence[str] = (),
    tick: Callable[[], object] | None = None,
) -> Seen:
    """All sightings of a sequence.

    Args:
        tracks: see :func:`delineate.data.track_files.open_tracks`.
        rate: frames per second; the first frame known is at 0 s.
        classes: names of the classes wanted; empty: all.
        tick: called after each frame.

    Raises:
        InputError: a rate that is none, a class that is not there, or frames that cannot be read.
    """
    if not (np.isfinite(rate) and 0 < rate <= 1e5):
        raise InputError(f"rate: expected frames per second above 0, got {rate}; look it up in the video")
    strange = [name for name in classes if name not in tracks.classes.names]
    if strange:
        raise InputError(
            f"classes: expected some of {', '.join(tracks.classes.names)}, got {strange[0]!r}; choose these"
        )
    wanted = [tracks.classes.names.index(name) for name in classes or tracks.classes.names]
    seen = Seen(tracks.classes)
    for frame in tracks:
        objects = frame.objects[np.isin(frame.objects.labels, wanted)]
        if frame.considered is not None:
            objects = frame.objects[np.isin(frame.objects.labels, wanted) & frame.considered]
        seen.add(frame.number, (frame.number - tracks.frames[0]) / rate, objects)
        if tick is not None:
            tick()
    return seen


@dataclass(frozen=True)
class ForecastComparison:
    """How far forecasts were off against what the tracks did next.

    Attributes:
        methods: by name: ``"model"`` (the filter's), ``"constant velocity"`` (its own velocity kept),
            ``"constant position"``.
        unit: of the distances.
    """

    methods: dict[str, ForecastReport]
    unit: str

    def __str__(self) -> str:
        first = next(iter(self.methods.values()))
        lines = [f"forecasts of {first.count} moments, {first.horizons[-1]:g} s ahead, against the tracks:"]
        for name, report in self.methods.items():
            line = f"  {name:18} ADE {report.ade:7.3f} {self.unit}  FDE {report.fde:7.3f} {self.unit}"
            if report.inside is not None:
                line += f"  in the 50% and 90% ellipse: {report.inside[0]:.0%}, {report.inside[1]:.0%}"
            lines.append(line)
        return "\n".join(lines)


def judge_forecasts(found: Trajectories) -> ForecastComparison | None:
    """Compares forecasts with the smoothed places of the same tracks later on; None where none can be judged.

    A forecast counts where the track was known at each of its horizons.
    """
    table, u = found.forecasts, found.length
    if not len(table):
        return None
    horizons = tuple(sorted(table["ahead_s"].unique().tolist()))
    places = _later(found.rows, table, u).reshape(-1, len(horizons), 2)
    known = np.isfinite(places).all(axis=(1, 2))
    if not known.any():
        return None
    up = 1.0 if u == "m" else -1.0
    angle = up * np.radians(table["major_deg"].to_numpy())
    axes = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    aside = np.stack([-axes[:, 1], axes[:, 0]], axis=1)
    major, minor = (table[f"sd_{name}_{u}"].to_numpy()[:, None, None] ** 2 for name in ("major", "minor"))
    cov = major * axes[:, :, None] * axes[:, None] + minor * aside[:, :, None] * aside[:, None]
    spread = cov.reshape(-1, len(horizons), 2, 2)[known]
    methods = {}
    for name, columns, wide in (
        ("model", (f"x_{u}", f"y_{u}"), spread),
        ("constant velocity", (f"straight_x_{u}", f"straight_y_{u}"), None),
        ("constant position", (f"now_x_{u}", f"now_y_{u}"), None),
    ):
        errors = ForecastErrors(horizons)
        told = table[list(columns)].to_numpy().reshape(-1, len(horizons), 2)
        errors.update(told[known], places[known], wide)
        methods[name] = errors.compute()
    return ForecastComparison(methods, u)


def _later(rows: pd.DataFrame, table: pd.DataFrame, u: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(R, 2) where each forecast's track was at the time foretold; NaN where nobody knows."""
    found = np.full((len(table), 2), np.nan)
    groups = rows.groupby("track").indices
    when = (table["time_s"] + table["ahead_s"]).to_numpy()
    for track, at in table.groupby("track").indices.items():
        own = rows.iloc[groups[track]]
        times, seen = own["time_s"].to_numpy(), own["seen"].to_numpy()
        after = np.clip(np.searchsorted(times, when[at] - 1e-6), 0, len(times) - 1)
        before = np.maximum(after - 1, 0)
        exact = np.abs(times[after] - when[at]) < 1e-4
        inside = exact | ((when[at] >= times[0]) & (when[at] <= times[-1]))
        good = inside & seen[after] & (exact | seen[before])
        for k, name in enumerate((f"x_{u}", f"y_{u}")):
            place = np.interp(when[at], times, own[name].to_numpy())
            found[at[good], k] = place[good]
    return found


def save(
    found: Trajectories,
    out: Path,
    saves: Iterable[str] = SAVES,
    plane: Plane | None = None,
    record: dict[str, Any] | None = None,
) -> list[Path]:
    """Writes tables, ``birds-eye.png`` and ``report.json`` (units, settings, errors of forecasts).

    Args:
        found: what to write.
        out: a folder; made where it is missing.
        saves: some of :data:`SAVES`.
        plane: for the camera's place in the picture.
        record: more for the report, such as settings.

    Returns:
        The files.

    Raises:
        MissingDependencyError: Parquet without pyarrow.
        InputError: something unknown to save, or no place to write.
    """
    wanted = list(saves)
    strange = [name for name in wanted if name not in SAVES]
    if strange:
        raise InputError(f"save: expected some of {', '.join(SAVES)}, got {strange[0]!r}; choose of these")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{out}: expected a folder to write to, got {error.strerror}; choose another"
        ) from None
    files: list[Path] = []
    for name in TABLES:
        table: pd.DataFrame = getattr(found, name)
        if not len(table.columns):
            continue
        if "parquet" in wanted:
            files.append(write_parquet(out / f"{FILES[name]}.parquet", table))
        if "csv" in wanted:
            files.append(out / f"{FILES[name]}.csv")
            with atomic(files[-1]) as temporary:
                plain_table(table).to_csv(temporary, index=False, float_format="%.6g")
    if "picture" in wanted:
        files.append(out / "birds-eye.png")
        with atomic(files[-1]) as temporary:
            draw(found, plane).save(temporary, "PNG")
    files.append(out / "report.json")
    with atomic(files[-1]) as temporary:
        temporary.write_text(json.dumps(_report(found, record or {}), indent=1), encoding="utf-8")
    return files


def write_parquet(path: Path, table: pd.DataFrame) -> Path:
    """Writes a table, with each column's unit in the metadata of its field (key ``unit``).

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(
            "Parquet: expected pyarrow, got none; pip install 'delineate[tables]', or choose csv"
        ) from None
    units = table.attrs.get("units", {})
    whole = pyarrow.Table.from_pandas(table, preserve_index=False)
    for place, name in enumerate(whole.column_names):
        if units.get(name):
            named = whole.schema.field(place).with_metadata({"unit": units[name]})
            whole = whole.cast(whole.schema.set(place, named))
    with atomic(path) as temporary:
        pyarrow.parquet.write_table(whole, temporary)
    return path


def _report(found: Trajectories, record: dict[str, Any]) -> dict[str, Any]:
    compared = judge_forecasts(found)
    errors = {} if compared is None else {k: dataclasses.asdict(v) for k, v in compared.methods.items()}
    return {
        "delineate": __version__,
        "participants": len(found.participants),
        "rows": len(found.rows),
        "length": found.length,
        "units": {FILES[name]: getattr(found, name).attrs.get("units", {}) for name in TABLES},
        "forecast_errors": _plain(errors),
        **_plain(record),
    }


def _plain(value: Any) -> Any:
    """The same without NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def draw(found: Trajectories, plane: Plane | None = None) -> Any:
    """The picture from above, as a PIL image."""
    u = found.length
    groups = found.rows.groupby("track").indices
    longest = found.participants.sort_values(f"path_{u}", ascending=False)["track"].head(DRAWN)
    last = {}
    if len(found.forecasts):
        ends = found.forecasts.groupby("track")["frame"].transform("max")
        final = found.forecasts[found.forecasts["frame"] == ends]
        last = {track: final[final["track"] == track] for track in final["track"].unique().tolist()}
    ways = []
    for track in sorted(longest.tolist()):
        own = found.rows.iloc[groups[track]]
        ahead, spread = _ellipses(last.get(track), u)
        ways.append(Way(track, own[[f"x_{u}", f"y_{u}"]].to_numpy(), own["seen"].to_numpy(), ahead, spread))
    still = plane is not None and plane.poses is None
    return birds_eye(ways, u, plane.ground.viewpoint if plane is not None and still else None)


def _ellipses(final: pd.DataFrame | None, u: str) -> tuple[Any, Any]:
    """(H, 2) places and (H, 2, 2) covariances of the last forecast."""
    if final is None:
        return np.zeros((0, 2)), np.zeros((0, 2, 2))
    angle = (1.0 if u == "m" else -1.0) * np.radians(final["major_deg"].to_numpy())
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    sizes = final[[f"sd_major_{u}", f"sd_minor_{u}"]].to_numpy() ** 2
    return final[[f"x_{u}", f"y_{u}"]].to_numpy(), turn * sizes[:, None] @ turn.transpose(0, 2, 1)


__all__ = [
    "SAVES",
    "ForecastComparison",
    "TrajectorySettings",
    "draw",
    "judge_forecasts",
    "save",
    "sightings",
    "trajectories",
    "write_parquet",
]  # fmt: skip
