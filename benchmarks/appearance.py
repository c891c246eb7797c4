"""Do looks tell objects apart, and does it help? `python benchmarks/appearance.py [--follow]`.

Synthetic crowds with exact truth. The features of the true objects (more than 60 visible pixels) are taken
with the embedded model's backbone; printed is how often an object is more alike to itself ten frames later
than to another (area under the ROC curve of the cosine). With ``--follow`` the model's detections are
followed with looks and without, and HOTA is printed.
"""

from __future__ import annotations

import argparse
import logging
import time

import numpy as np
import torch

from delineate.data.synthetic import SceneSettings, crowd_video
from delineate.data.video import Frame
from delineate.engine.appearance import COLOURS, Common, LookingModel, colours
from delineate.engine.load import Model, load
from delineate.engine.track import track
from delineate.metrics.hota import HOTA

GAP = 10


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def curve(same: np.ndarray, other: np.ndarray) -> float:
    """The area under the ROC curve: how often one of ``same`` is above one of ``other``."""
    order = np.sort(other)
    above = np.searchsorted(order, same, "left") + np.searchsorted(order, same, "right")
    return float(above.mean() / 2 / len(other))


def alike(model: Model, shape: str, crowding: float, likeness: float) -> list[float]:
    """The area for colours, the backbone, and both; milliseconds a frame that they take."""
    settings = SceneSettings((256, 320), objects=24, crowding=crowding, shapes=(shape,), likeness=likeness)
    video, look, common = crowd_video(0, settings, frames=30), LookingModel(model._ready, {}), Common()
    seen, took = [], 0.0
    for t in range(0, 30, 2):
        scene = video[t]
        truth = scene.truth[scene.truth.area > 60]
        _, views = look.see(scene.image)
        begin = time.process_time()
        rows = np.concatenate((colours(scene.image, truth), look.pooled(truth, views)), axis=1)
        joined = common(rows)
        took += time.process_time() - begin
        kinds = (unit(joined[:, :COLOURS]), unit(joined[:, COLOURS:]), joined)
        seen.append((t, np.asarray(truth.ids), kinds))
    areas = []
    for kind in range(3):
        same, other = [], []
        for t, ids, rows in seen:
            for later, others, further in seen:
                if later - t == GAP:
                    cosine, equal = rows[kind] @ further[kind].T, ids[:, None] == others
                    same.append(cosine[equal])
                    other.append(cosine[~equal])
        areas.append(curve(np.concatenate(same), np.concatenate(other)))
    return [*areas, 1000 * took / len(seen)]


def followed(model: Model, seed: int, crowding: float, looks: bool) -> float:
    """HOTA of the model's detections, followed."""
    video = crowd_video(seed, SceneSettings(size=(224, 320), objects=22, crowding=crowding), frames=40)
    scenes, metric = list(video), HOTA("mask")
    film = [Frame(t, t / 25, scene.image) for t, scene in enumerate(scenes)]
    for found in track(film, model, appearance=looks):
        truth = scenes[found.number].truth
        metric.update(found.instances.replace(classes=truth.classes), truth, found.number, "a")
    return metric.compute().scores["HOTA"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--follow", action="store_true", help="follow with looks and without, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("delineate").setLevel(logging.ERROR)
    model = load("nuclei")
    print("| objects | crowding | likeness | colours | backbone | both | CPU ms a frame |")
    print("|---|---|---|---|---|---|---|")
    for shape in ("cell", "person"):
        for crowding, likeness in ((0.3, 0.7), (0.7, 0.7), (0.7, 0.95)):
            *areas, took = alike(model, shape, crowding, likeness)
            shown = " | ".join(f"{area:.3f}" for area in areas)
            print(f"| {shape} | {crowding} | {likeness} | {shown} | {took:.1f} |", flush=True)
    if arguments.follow:
        print("\n| seed | crowding | HOTA without looks | with looks |\n|---|---|---|---|")
        for seed in (0, 1):
            for crowding in (0.3, 0.7):
                scores = [followed(model, seed, crowding, looks) for looks in (False, True)]
                print(f"| {seed} | {crowding} | {scores[0]:.3f} | {scores[1]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
