"""How far trajectories are from the truth, on a synthetic street before a known camera, seen by its masks.

Prints errors of places, speeds, headings and accelerations by the noise of the boxes (pixels), beside plain
differences of foot points and smoothed foot points; errors of forecasts against the true future; the share of
the future inside the ellipses; and the time that it takes.

    python benchmarks/trajectories.py [--seeds 3] [--frames 100]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from delineate.data.synthetic.traffic import CLASSES, Traffic, TrafficFrame, TrafficSettings, traffic
from delineate.metrics.forecast import ForecastErrors
from delineate.tracking.ground import Camera, Ground
from delineate.tracking.sightings import Seen
from delineate.tracking.trajectories import Trajectories, TrajectorySettings, trajectories

CAMERA = Camera((900.0, 900.0), (639.5, 359.5), 6.0, pitch=12.0)
GROUND = Ground.of_camera(CAMERA)
NOISE = (0.0, 1.0, 3.0)
FAR = 45.0  # metres; farther ones are told apart


def seen(frames: list[TrafficFrame], noise: float, seed: int) -> Seen:
    """The visible masks, their boxes moved by ``noise`` pixels at each side."""
    rng, found = np.random.default_rng(seed), Seen(CLASSES)
    for frame in frames:
        boxes = frame.truth.boxes + rng.normal(0, 1, frame.truth.boxes.shape) * noise
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        found.add(frame.number, frame.time, frame.truth.replace(boxes=boxes))
    return found


def plain(watched: Seen, rate: float) -> pd.DataFrame:
    """Foot points on the ground and their differences, as one would do it by hand."""
    table = watched.table()
    place = GROUND.to_ground(table.foot)
    rows = pd.DataFrame({"track": table.track, "frame": table.frame, "x_m": place[:, 0], "y_m": place[:, 1]})
    groups = rows.groupby("track")
    step = groups[["x_m", "y_m"]].diff().to_numpy() * rate / groups["frame"].diff().to_numpy()[:, None]
    rows["speed_m_s"], rows["acceleration_m_s2"] = np.hypot(*step.T), np.nan
    rows["heading_deg"] = np.degrees(np.arctan2(step[:, 1], step[:, 0]))
    return rows.dropna(subset=["speed_m_s"])


def errors(rows: pd.DataFrame, frames: list[TrafficFrame], least: float) -> str:
    """Errors of near rows of which at least a share is visible."""
    true = {
        (frame.number, number): (*frame.states[k], frame.distance[k], frame.visible[k])
        for frame in frames
        for k, number in enumerate(frame.truth.ids.tolist())
    }
    keys = list(zip(rows["frame"].tolist(), rows["track"].tolist(), strict=True))
    known = np.array([key in true for key in keys])
    rows = rows[known]
    truth = np.array([true[key] for key, good in zip(keys, known, strict=True) if good])
    keep = (truth[:, 6] < FAR) & (truth[:, 7] >= least) & rows["x_m"].notna().to_numpy()
    rows, truth = rows[keep], truth[keep]
    off = np.hypot(rows["x_m"] - truth[:, 0], rows["y_m"] - truth[:, 1])
    speed = np.abs(rows["speed_m_s"] - truth[:, 3])
    turned = np.abs((rows["heading_deg"] - np.degrees(truth[:, 2]) + 180) % 360 - 180)[truth[:, 3] > 0.5]
    push = np.abs(rows["acceleration_m_s2"] - truth[:, 4])
    cells = [
        f"{len(rows):6d}", f"{off.median():6.2f} {off.quantile(0.9):6.2f}", f"{speed.median():6.2f} "
        f"{speed.quantile(0.9):6.2f}", f"{turned.median():6.1f}", f"{push.median():6.2f}",
    ]  # fmt: skip
    return " | ".join(cells)


def foretold(found: Trajectories, street: Traffic) -> dict[str, ForecastErrors]:
    """Forecasts against the true future of whoever was near and is not past the end of the film."""
    horizons = tuple(sorted(found.forecasts["ahead_s"].unique().tolist()))
    methods = {"model": "", "constant velocity": "straight_", "constant position": "now_"}
    result = {name: ForecastErrors(horizons) for name in methods}
    rows = found.forecasts
    frame = np.round((rows["time_s"] + rows["ahead_s"]).to_numpy() * street.settings.rate).astype(int)
    inside = frame.reshape(-1, len(horizons)).max(axis=1) < len(street)
    near = np.hypot(rows["now_x_m"], rows["now_y_m"]).to_numpy().reshape(-1, len(horizons))[:, 0] < FAR
    keep = np.repeat(inside & near, len(horizons))
    rows, frame = rows[keep], frame[keep]
    truth = street.states[frame, rows["track"].to_numpy() - 1, :2].reshape(-1, len(horizons), 2)
    angle = np.radians(rows["major_deg"].to_numpy())
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    sizes = rows[["sd_major_m", "sd_minor_m"]].to_numpy() ** 2
    spread = (turn * sizes[:, None] @ turn.transpose(0, 2, 1)).reshape(-1, len(horizons), 2, 2)
    for name, before in methods.items():
        told = rows[[f"{before}x_m", f"{before}y_m"]].to_numpy().reshape(-1, len(horizons), 2)
        result[name].update(told, truth, spread if name == "model" else None)
    return result


def main() -> None:
    """Runs all and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=100)
    options = parser.parse_args()
    settings = TrafficSettings(frames=options.frames)
    streets = [traffic(CAMERA.projection, seed, settings) for seed in range(options.seeds)]
    films = [[street[k] for k in range(len(street))] for street in streets]
    print(
        "noise px | way | rows | place m, median and 90% | speed m/s, likewise | heading deg | acceleration"
    )
    judged: dict[float, dict[str, ForecastErrors]] = {}
    seconds, rows = 0.0, 0
    for noise in NOISE:
        tables: dict[str, list[pd.DataFrame]] = {
            "differences": [],
            "feet smoothed": [],
            "middles smoothed": [],
        }
        for seed, (street, film) in enumerate(zip(streets, films, strict=True)):
            watched = seen(film, noise, seed)
            tables["differences"].append(plain(watched, settings.rate))
            feet = trajectories(watched, GROUND, TrajectorySettings(middles=False))
            tables["feet smoothed"].append(feet.rows)
            started = time.process_time()
            found = trajectories(watched, GROUND)
            seconds, rows = seconds + time.process_time() - started, rows + len(found.rows)
            tables["middles smoothed"].append(found.rows)
            for name, one in foretold(found, street).items():
                kept = judged.setdefault(noise, {}).setdefault(name, one)
                if kept is not one:
                    kept.merge(one)
        for name, parts in tables.items():
            for least, who in ((0.9, "nobody before it"), (0.0, "all")):
                joined = pd.concat(
                    [part.assign(track=part["track"] + 1000 * k) for k, part in enumerate(parts)]
                )
                whole = [_moved(frame, 1000 * k) for k, film in enumerate(films) for frame in film]
                print(f"{noise:3.0f} | {name:16} ({who}) | {errors(joined, whole, least)}")
    print("\nnoise px | way to foretell | forecasts | ADE m | FDE m at 2 s | in the 50% and 90% ellipse")
    for noise, methods in judged.items():
        for name, one in methods.items():
            report = one.compute()
            inside = "" if report.inside is None else f"{report.inside[0]:.0%} {report.inside[1]:.0%}"
            print(
                f"{noise:3.0f} | {name:18} | {report.count} | {report.ade:.2f} | {report.fde:.2f} | {inside}"
            )
    print(f"\n{rows} rows with forecasts in {seconds:.1f} s of CPU: {1e6 * seconds / rows:.0f} us a row")


def _moved(frame: TrafficFrame, by: int) -> TrafficFrame:
    """The same frame with other ids, so that streets do not mix."""
    from dataclasses import replace

    return replace(frame, truth=frame.truth.replace(ids=frame.truth.ids + by))


if __name__ == "__main__":
    main()
