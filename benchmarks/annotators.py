"""Annotators who are known: how good the consensus of several is, how far outlines move, what refining gains.

    python benchmarks/annotators.py --data dsb2018 [--split val] [--images 69] [--model nuclei]

Each annotator draws the true objects of the images as a polygon, with a number of points, a wobble
and a habit of drawing wide or narrow; some objects are forgotten. Everything is seeded.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import cv2
import numpy as np

from delineate.apply.refine import RefineSettings, refine_masks
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon
from delineate.core.simplify import simplify
from delineate.data.dataset import Dataset, open_dataset
from delineate.engine.refine import by_model
from delineate.metrics.consensus import consensus


@dataclass(frozen=True)
class Habit:
    """How somebody draws: points of an object, wobble and width in pixels, share of objects forgotten."""

    points: int
    wobble: float
    wide: float = 0.0
    forgets: float = 0.0


PEOPLE = (
    Habit(10, 0.5, 0.0, 0.02),
    Habit(50, 0.3, 1.0, 0.05),
    Habit(20, 0.7, -0.5, 0.0),
    Habit(14, 1.0, 0.5, 0.1),
    Habit(30, 1.5, 0.0, 0.05),
)


def draw(ring: np.ndarray, habit: Habit, rng: np.random.Generator) -> np.ndarray:
    """(K, 2) points, evenly set along an outline, as somebody would click them."""
    steps = np.hypot(*(np.roll(ring, -1, axis=0) - ring).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    at = (np.arange(habit.points) / habit.points + rng.random()) % 1 * along[-1]
    closed = np.concatenate([ring, ring[:1]])
    points = np.stack([np.interp(at, along, closed[:, k]) for k in (0, 1)], axis=1)
    outward = points - points.mean(axis=0)
    outward /= np.maximum(np.hypot(*outward.T), 1e-6)[:, None]
    return points + habit.wide * outward + rng.normal(0, habit.wobble, points.shape)


def rough(masks: Masks, habit: Habit, rng: np.random.Generator) -> list[list[Polygon]]:
    """One polygon for each object, around its largest part."""
    rings = [max(parts, key=lambda part: part.area).exterior for parts in masks.to_polygons()]
    return [[Polygon(draw(ring, habit, rng))] for ring in rings]


def each_iou(a: Masks, b: Masks) -> np.ndarray:
    """(N,) IoU of each mask with the one at its place."""
    i, j, shared = a.intersection_pairs(b)
    found = np.zeros(len(a))
    same = i == j
    found[i[same]] = shared[same] / (a.area[i] + b.area[j] - shared)[same]
    return found


def truths(data: Dataset) -> list[Masks]:
    found = [data.truth(index).masks for index in range(len(data))]
    return [masks for masks in found if masks is not None]


def measure_consensus(data: Dataset) -> None:
    print("\n## Consensus: IoU with the truth, F1 at IoU 0.5\n")
    for number in (2, 3, 5):
        rng = np.random.default_rng(number)
        rows: dict[str, list[float]] = {}
        seconds: dict[str, float] = {}
        for truth in truths(data):
            people = []
            for habit in PEOPLE[:number]:
                drawn = Masks.from_polygons(rough(truth, habit, rng), truth.size)
                kept = drawn[rng.random(len(drawn)) >= habit.forgets]
                people.append(Instances(truth.size, masks=kept[kept.area > 0]))
            made = {f"annotator {k}": own.masks for k, own in enumerate(people, 1)}
            for method in ("staple", "vote"):
                start = time.process_time()
                made[method] = consensus(people, method).instances.masks
                seconds[method] = seconds.get(method, 0) + time.process_time() - start
            for name, masks in made.items():
                i, j, shared = truth.intersection_pairs(masks)
                iou = shared / (truth.area[i] + masks.area[j] - shared)
                rows.setdefault(name, []).extend(iou[iou > 0.5].tolist())
                rows.setdefault(f"{name} n", []).append(len(masks))
        objects = sum(map(len, truths(data)))
        for name in [n for n in rows if not n.endswith(" n")]:
            matched, drawn = len(rows[name]), sum(rows[f"{name} n"])
            f1 = 2 * matched / (objects + drawn)
            spent = f"  {1e3 * seconds[name] / drawn:.1f} ms an object" if name in seconds else ""
            print(f"{number} annotators, {name:<12} IoU {np.mean(rows[name]):.3f}  F1 {f1:.3f}{spent}")


def measure_polygons(data: Dataset) -> None:
    print("\n## Outlines of nuclei simplified: points, distance, IoU\n")
    masks = truths(data)
    exact = [(parts, own.size) for own in masks for parts in own.to_polygons()]
    reference = np.concatenate([own.area for own in masks])
    traced = np.mean([len(part.exterior) for parts, _ in exact for part in parts])
    print(f"{len(exact)} objects, {traced:.1f} points as traced")
    for tolerance in (0.5, 1.0, 2.0):
        start = time.process_time()
        ours = [simplify(parts, tolerance, size) for parts, size in exact]
        spent = (time.process_time() - start) / len(exact)
        opencv = [
            [
                np.asarray(cv2.approxPolyDP(p.exterior.astype(np.float32), tolerance, True)[:, 0])
                for p in parts
            ]
            for parts, _ in exact
        ]
        theirs = [[Polygon(r) if len(r) > 2 else p for r, p in zip(rs, parts, strict=True)]
                  for rs, (parts, _) in zip(opencv, exact, strict=True)]  # fmt: skip
        for name, found in (("ours", [parts for parts, _ in ours]), ("OpenCV", theirs)):
            at, iou, after = 0, [], []
            for own in masks:
                new = Masks.from_polygons(found[at : at + len(own)], own.size)
                iou.append(each_iou(own, new))
                after.append(new.area)
                at += len(own)
            area = np.concatenate(after).sum() / reference.sum()
            points = np.mean([len(p.exterior) for parts in found for p in parts])
            far, over = hausdorff(exact, found, tolerance)
            told = f", {1e3 * spent:.1f} ms an object" if name == "ours" else ""
            print(f"tolerance {tolerance}: {name:<7} {points:5.1f} points, "
                  f"IoU {np.concatenate(iou).mean():.4f}, area {area:.4f}, "
                  f"farthest {far:.3f} px, {over} beyond the tolerance{told}")  # fmt: skip


def hausdorff(exact: list, found: list, tolerance: float) -> tuple[float, int]:
    """The largest Hausdorff distance of outlines, by shapely, and how many are beyond the tolerance."""
    import shapely

    def line(ring: np.ndarray) -> shapely.LinearRing:
        return shapely.LinearRing(ring)

    distances = np.array([
        shapely.hausdorff_distance(line(p.exterior), line(q.exterior), densify=0.05)
        for (parts, _), others in zip(exact, found, strict=True)
        for p, q in zip(parts, others, strict=True)
    ])  # fmt: skip
    return float(distances.max()), int((distances > tolerance + 1e-6).sum())


def grab_cut(image: np.ndarray, masks: Masks, reach: float = 0.12) -> Masks:
    """OpenCV's GrabCut in a band around each outline, as a peer."""
    pixels = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3]
    crops, corners = [], []
    for k in range(len(masks)):
        crop, (x, y) = masks.crop(k)
        margin = max(6, max(crop.shape) // 2)
        x0, y0 = max(0, x - margin), max(0, y - margin)
        x1, y1 = (
            min(image.shape[1], x + crop.shape[1] + margin),
            min(image.shape[0], y + crop.shape[0] + margin),
        )
        old = masks[k].window(x0, y0, x1, y1).dense()[0]
        depth = cv2.distanceTransform(old.view(np.uint8), 2, 5) - cv2.distanceTransform(
            1 - old.view(np.uint8), 2, 5
        )
        width = max(1.0, reach * float(crop.sum()) ** 0.5)
        labels = np.where(old, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels[depth > width], labels[depth < -width] = cv2.GC_FGD, cv2.GC_BGD
        if old.sum() >= 12 and (labels == cv2.GC_BGD).any():
            labels[depth >= depth.max()] = cv2.GC_FGD
            window = np.ascontiguousarray(pixels[y0:y1, x0:x1])
            cv2.grabCut(window, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
            old = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
        crops.append(old)
        corners.append((x0, y0))
    return Masks.from_crops(crops, np.array(corners).reshape(-1, 2), masks.size)


def measure_refinement(data: Dataset, model_name: str, wobbles: list[float]) -> None:
    print("\n## Polygons of ten points refined: mean IoU with the truth\n")
    segment = None
    if model_name:
        from delineate.engine.load import load

        segment = load(model_name).predict
    samples = [data[index] for index in range(len(data))]
    found = [segment(sample.image) for sample in samples] if segment is not None else []
    for wobble in wobbles:
        rng = np.random.default_rng(0)
        rows: dict[str, list[np.ndarray]] = {}
        spent: dict[str, float] = {}
        for k, sample in enumerate(samples):
            truth = sample.truth.masks
            drawn = rough(truth, Habit(10, wobble), rng)
            before = Masks.from_polygons(drawn, truth.size)
            ways = {
                "as drawn": lambda before=before: before,
                "edges, trust 0": lambda s=sample, b=before, d=drawn: refine_masks(s.image, b, d),
                "edges, trust 1": lambda s=sample, b=before, d=drawn: refine_masks(
                    s.image, b, d, RefineSettings(trust=1)
                ),
                "GrabCut": lambda s=sample, b=before: grab_cut(s.image, b),
            }
            if found:
                ways[f"model {model_name}"] = lambda b=before, k=k: by_model(b, found[k])[0]
            for name, way in ways.items():
                start = time.process_time()
                made = way()
                spent[name] = spent.get(name, 0) + time.process_time() - start
                rows.setdefault(name, []).append(each_iou(truth, made))
        old = np.concatenate(rows["as drawn"])
        for name, parts in rows.items():
            new = np.concatenate(parts)
            worse = (new < old - 0.005).mean()
            print(f"wobble {wobble:g} px: {name:<15} IoU {new.mean():.4f}, worse {100 * worse:4.1f} %, "
                  f"{1e3 * spent[name] / len(new):.1f} ms an object, {len(new)} objects")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the folder dsb2018")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=69)
    parser.add_argument("--model", default="nuclei", help="empty: none")
    parser.add_argument("--wobble", default="0,1,2", help="pixels by which clicks are off")
    parser.add_argument("--only", default="consensus,polygons,refinement")
    given = parser.parse_args()
    whole = open_dataset(given.data, split=given.split or None)
    data = whole.subset(list(range(0, len(whole), max(1, len(whole) // given.images)))[: given.images])
    if "consensus" in given.only:
        measure_consensus(data)
    if "polygons" in given.only:
        measure_polygons(data)
    if "refinement" in given.only:
        measure_refinement(data, given.model, [float(w) for w in given.wobble.split(",")])


if __name__ == "__main__":
    main()
