"""Fruit and leaves: counts, sizes and diseased parts against the truth, on real data and on rendered tables.

    export DELINEATE_DATA=...                       # the folder with segmush/, strawberry/, rice_leaf_via/
    delineate train recipes/mushrooms.toml --out runs/mushrooms      # strawberry, rice_leaf: see there
    python benchmarks/crops.py scenes
    python benchmarks/crops.py pans "$DELINEATE_DATA/segmush" --weights runs/mushrooms/last.safetensors
    python benchmarks/crops.py fruit "$DELINEATE_DATA/segmush" --weights runs/mushrooms/last.safetensors
    python benchmarks/crops.py fruit strawberry --weights runs/strawberry/last.safetensors
    python benchmarks/crops.py leaves rice_leaf --weights runs/rice_leaf/last.safetensors

No data set here tells millimetres, so sizes are held against the truth in pixels on photographs, and in
millimetres on rendered tables whose marker, coin, ruler and fruit are known exactly.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from delineate.apply.crops import sizes
from delineate.apply.lesions import SCALES, diseased, leaves_by_colour
from delineate.apply.plane_scale import PlaneScale
from delineate.apply.round_fruit import Lens, likely_lens
from delineate.apply.same_fruit import moved
from delineate.apply.scale_coin import coin_scale, find_coin
from delineate.apply.scale_marker import find_markers, marker_scale
from delineate.apply.scale_ruler import find_ruler, ruler_scale
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.dataset import open_dataset
from delineate.data.images import read
from delineate.data.synthetic.produce import Produce, ProduceSettings, produce_scene
from delineate.data.video import Frame
from delineate.engine.crops_fruit import FruitSettings
from delineate.engine.crops_overlap import number_fruit, seen
from delineate.engine.crops_video import FEWEST, VideoFruit
from delineate.engine.load import load
from delineate.engine.track import track

SEEDS = range(6)
WINDOW, FRAMES = 320, 60


def scenes() -> None:
    """Diameters in mm of fruit on rendered tables, by what gives the scale and by tilt."""
    kinds: dict[str, tuple[dict, Callable[[Produce], PlaneScale]]] = {
        "1 marker": ({"markers": 1}, lambda s: marker_scale(_corners(s, 1), 30)),
        "4 markers": ({"markers": 4}, lambda s: marker_scale(_corners(s, 1), 30)),
        "coin": ({"coin": True}, lambda s: coin_scale(find_coin(s.image, None, s.instances), 25, 0, 1200)),
        "ruler": ({"ruler": True}, lambda s: ruler_scale(find_ruler(s.image), 1, 0, 1200)),
    }
    print("| scale | tilt | pictures | found | mean error % | RMS error mm | within 2 told errors % |")
    print("|---|---|---|---|---|---|---|")
    for name, (what, make) in kinds.items():
        for tilt in (0, 10, 25):
            _scene_row(name, tilt, {"markers": 0, **what}, make)
    given = Lens(1300)
    for tilt in (0, 10, 25):
        for name in ("1 marker", "4 markers", "coin", "ruler"):
            what, make = kinds[name]
            balls = {"markers": 0, "balls": True, **what}
            _scene_row(f"{name}, balls, focal length given", tilt, balls, make, lambda *_: given)
            _scene_row(f"{name}, balls, focal length not known", tilt, balls, make, likely_lens)
        _scene_row(
            "4 markers, balls taken for flat", tilt, {"markers": 4, "balls": True}, kinds["4 markers"][1]
        )


def _corners(scene: Produce, least: int) -> np.ndarray:
    corners, _ = find_markers(scene.image, "4X4_50")
    if len(corners) < least:
        raise InputError("no marker")
    return corners


def _scene_row(
    name: str,
    tilt: float,
    what: dict,
    make: Callable[[Produce], PlaneScale],
    lens: Callable[[PlaneScale, tuple[int, int]], Lens] | None = None,
) -> None:
    off, told, relative, found = [], [], [], 0
    for seed in SEEDS:
        scene = produce_scene(ProduceSettings(tilt=tilt, turn=7.0 * seed - 18, **what), seed)
        try:
            scale = make(scene)
        except InputError:
            continue
        found += 1
        camera = None if lens is None else lens(scale, scene.instances.size)
        measured = sizes(scene.instances, scale, lens=camera)
        off += list(measured.diameter() - scene.diameters)
        relative += list(measured.diameter() / scene.diameters - 1)
        told += list(measured.diameter_error())
    if not found:
        print(f"| {name} | {tilt}° | {len(SEEDS)} | 0 | | | |")
        return
    errors, bars = np.array(off), np.array(told)
    print(
        f"| {name} | {tilt}° | {len(SEEDS)} | {found} | {100 * np.mean(relative):+.2f} | "
        f"{np.sqrt((errors**2).mean()):.3f} | {100 * (np.abs(errors) <= 2 * bars).mean():.0f} |"
    )


def pans(data: str, weights: str) -> None:
    """Counts of a camera that moves over real photographs, and of overlapping, distorted parts of them."""
    net = load(weights) if weights else None
    print("| photograph | really seen | sum over frames | video, by tracks | photos really | sum | merged |")
    print("|---|---|---|---|---|---|---|")
    dataset = open_dataset(data, split="val")
    for k, record in enumerate(dataset.records):
        image, truth = read(record.path).pixels, dataset.truth(k)
        film = [_window(image, truth, x, y) for x, y in _path()]
        really = np.bincount(np.concatenate([w[2] for w in film]), minlength=len(truth))
        found = [w[1] for w in film] if net is None else [net.predict(w[0], confidence=0.1) for w in film]
        gathered, calls = VideoFruit(FruitSettings(), record.name), iter(found)
        frames = [Frame(n, n / 25, w[0]) for n, w in enumerate(film)]
        for step in track(frames, lambda pixels, calls=calls: next(calls), ahead=0):  # type: ignore[misc]
            gathered.add(step.number, step.frame, step.instances)
        counted, summed = len(gathered.rows()), sum(int((f.scores >= 0.5).sum()) for f in found)
        photos, places = _photographs(image, truth, k)
        if net is not None:
            photos = [(p, net.predict(p, confidence=0.5)) for p, _ in photos]
        numbers, _ = number_fruit([seen(str(n), p, objects) for n, (p, objects) in enumerate(photos)])
        merged = max((int(n.max()) for n in numbers if len(n)), default=0)
        there = len(np.unique(np.concatenate(places)))
        print(
            f"| {record.name[:8]} | {(really >= FEWEST).sum()} | {summed} | {counted} | {there} | "
            f"{sum(len(o) for _, o in photos)} | {merged} |"
        )


def _path() -> Iterator[tuple[int, int]]:
    for x, turn in zip(np.linspace(0, 320, FRAMES), np.linspace(0, 3, FRAMES), strict=True):
        yield round(x), round(160 + 100 * np.sin(turn))


def _window(image: np.ndarray, truth: Instances, x: int, y: int) -> tuple[np.ndarray, Instances, np.ndarray]:
    assert truth.masks is not None
    masks = truth.masks.window(x, y, x + WINDOW, y + WINDOW)
    kept = np.flatnonzero(np.asarray(masks.area) >= 30)
    pixels = image[y : y + WINDOW, x : x + WINDOW].copy()
    return pixels, Instances((WINDOW, WINDOW), masks=masks[kept]), kept


def _photographs(
    image: np.ndarray, truth: Instances, seed: int
) -> tuple[list[tuple[np.ndarray, Instances]], list[np.ndarray]]:
    """Four parts that overlap, each turned a little in space, lit otherwise, with noise."""
    rng = np.random.default_rng(seed)
    photos, places = [], []
    for x, y in ((0, 40), (110, 60), (220, 100), (320, 160)):
        pixels, objects, kept = _window(image, truth, x, y)
        corners = np.array([[0, 0], [WINDOW, 0], [WINDOW, WINDOW], [0, WINDOW]], np.float32)
        moved_corners = corners + rng.uniform(-14, 14, (4, 2)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(corners, moved_corners).astype(float)
        seen_so = cv2.warpPerspective(pixels, matrix, (WINDOW, WINDOW), borderMode=cv2.BORDER_REFLECT)
        lit = np.clip(seen_so * rng.uniform(0.8, 1.2) + rng.normal(0, 3, seen_so.shape), 0, 255)
        masks = moved(objects, matrix, (WINDOW, WINDOW))
        shown = np.flatnonzero(np.asarray(masks.area) >= 30)
        photos.append((lit.astype(np.uint8), Instances((WINDOW, WINDOW), masks=masks[shown])))
        places.append(kept[shown])
    return photos, places


def fruit(data: str, weights: str, split: str, confidence: float) -> None:
    """Counts and diameters of what a model finds, against the truth."""
    dataset, net = open_dataset(data, split=split), load(weights)
    off, truths, matched, medians, there = [], [], [], [], []
    for k, record in enumerate(dataset.records):
        truth = dataset.truth(k)
        truth = truth[np.array([name != "people" for name in truth.names], bool)]
        found = net.predict(read(record.path).pixels, confidence=confidence)
        found = found[np.array([name != "people" for name in found.names], bool)]
        off.append(len(found) - len(truth))
        truths.append(len(truth))
        if not len(found) or not len(truth):
            continue
        assert found.masks is not None and truth.masks is not None
        overlap = found.masks.iou(truth.masks)
        best = overlap.argmax(axis=1)
        pairs = [(i, int(j)) for i, j in enumerate(best) if overlap[i, j] >= 0.5]
        ours, theirs = sizes(found).diameter(), sizes(truth).diameter()
        matched += [(ours[i], theirs[j]) for i, j in pairs]
        medians.append(np.median(ours) / np.median(theirs) - 1)
        there.append(len(pairs))
    error, real = np.array(off), np.array(truths)
    across = np.array(matched)
    difference = across[:, 0] - across[:, 1]
    print(f"{data}: {len(error)} images, {real.sum()} fruit, found {real.sum() + error.sum()}")
    print(
        f"count: MAE {np.abs(error).mean():.2f} an image ({real.mean():.1f} there), mean {error.mean():+.2f}"
    )
    print(
        f"diameter of {len(across)} that match (IoU 0.5): MAE {np.abs(difference).mean():.2f} px of "
        f"{across[:, 1].mean():.1f}, median part {100 * np.median(np.abs(difference) / across[:, 1]):.1f} %, "
        f"mean {difference.mean():+.2f} px; image medians off by {100 * np.abs(medians).mean():.1f} %"
    )


def leaves(data: str, weights: str, split: str, confidence: float) -> None:
    """Lesions and diseased parts of what a model finds, against the labelled lesions, on the same leaf."""
    dataset, net = open_dataset(data, split=split, skip_invalid=True), load(weights)
    parts, counts, scores = [], [], []
    for k, record in enumerate(dataset.records):
        image, truth = read(record.path).pixels, dataset.truth(k)
        found = net.predict(image, confidence=confidence)
        leaf = leaves_by_colour(image, truth)
        both = [diseased(leaf, lesions) for lesions in (truth, found)]
        real, ours = (float(d.diseased_area.sum() / max(d.leaf_area.sum(), 1)) for d in both)
        parts.append((real, ours))
        counts.append((len(truth), len(found)))
        scores.append([SCALES["brown-spot"].score(part) for part in (real, ours)])
        print(
            f"  {record.name}: {len(truth)} lesions {100 * real:.1f} %, found {len(found)} {100 * ours:.1f} %"
        )
    part, count, score = np.array(parts), np.array(counts), np.array(scores)
    print(f"{data}: {len(part)} images, {count[:, 0].sum()} lesions, found {count[:, 1].sum()}")
    print(f"lesions: MAE {np.abs(count[:, 1] - count[:, 0]).mean():.2f} an image")
    print(
        f"diseased part: MAE {100 * np.abs(part[:, 1] - part[:, 0]).mean():.1f} points of "
        f"{100 * part[:, 0].mean():.1f} %, r = {np.corrcoef(part.T)[0, 1]:.2f}; severity within one: "
        f"{(np.abs(score[:, 1] - score[:, 0]) <= 1).sum()} of {len(score)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("scenes", "pans", "fruit", "leaves"))
    parser.add_argument("data", nargs="?", default="")
    parser.add_argument("--weights", default="")
    parser.add_argument("--split", default="val")
    parser.add_argument("--confidence", type=float, default=0.5)
    given = parser.parse_args()
    if given.what == "scenes":
        scenes()
    elif given.what == "pans":
        pans(given.data, given.weights)
    else:
        {"fruit": fruit, "leaves": leaves}[given.what](
            given.data, given.weights, given.split, given.confidence
        )


if __name__ == "__main__":
    main()
