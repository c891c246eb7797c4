"""Edges of compositions against exact truth: `python benchmarks/composite.py PHOTOS [--quick]`.

PHOTOS is a folder of photographs, of which patches are laid over each other by a known alpha: outlines with
fine hair, drawn at eight times the size. Three questions:

1. Alpha of single pictures, from the exact mask and from one as a network gives it (drawn at a quarter of the
   size): sum of absolute differences (SAD, thousands), mean squared error (thousandths) and gradient error
   (Rhemann et al. 2009, "A Perceptually Motivated Online Benchmark for Image Matting"), within 12 pixels of
   the outline; and the error of the picture that is composed with it on another background (root mean
   square, grey levels). Beside pymatting's closed form where that is installed.
2. Masks whose outline trembles: flicker, the mean absolute change of alpha from frame to frame near the
   outline of an object that stands; SAD; and alpha that is left behind where the object is not, in
   thousandths, also when it moves.
3. Processor time of the stages of a frame.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.apply.composite import Blur, Compositor, Effect, Look, Plain
from delineate.apply.effects import over
from delineate.apply.matting import MatteSettings, clean_colours, soft_alpha, trimap
from delineate.apply.steady import Motion, Steady
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.find import find
from delineate.data.images import read
from delineate.data.video import frames
from delineate.data.video_write import FilmWriter

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]
FINE = 8  # how much larger an outline is drawn
SIDE = 320
NEAR = 12  # pixels of the outline within which alpha is judged


def outline(seed: int, side: int = SIDE, hair: bool = True) -> Floats:
    """(side, side) the exact alpha of a wobbly shape, with hair on its upper half where asked for."""
    rng = np.random.default_rng(seed)
    turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    radius = (
        side
        * 0.27
        * (1 + sum(rng.normal(0, 0.09 / k) * np.cos(k * turn + rng.uniform(0, 6)) for k in range(2, 7)))
    )
    rim = side / 2 + np.stack([np.cos(turn), np.sin(turn)], -1) * radius[:, None]
    canvas = np.zeros((side * FINE, side * FINE), np.uint8)
    cv2.fillPoly(canvas, [np.rint(rim * FINE).astype(np.int32)], 255)
    for begin in rim[rng.integers(200, 400, 160 if hair else 0)]:
        away = (begin - side / 2) / np.linalg.norm(begin - side / 2)
        bend = rng.normal(0, 0.35, 2)
        steps = np.linspace(0, rng.uniform(5, 15), 12)[:, None]
        strand = begin + (away + bend * steps / 15) * steps
        cv2.polylines(
            canvas,
            [np.rint(strand * FINE).astype(np.int32)],
            False,
            255,
            int(rng.integers(4, 9)),
            cv2.LINE_AA,
        )
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.7), np.float32)  # a lens is never quite sharp


def patches(folder: Path, count: int, side: int = SIDE) -> Iterator[Picture]:
    """The middles of photographs."""
    for path in find([folder])[:count]:
        pixels = read(path).pixels
        if pixels.ndim == 3 and min(pixels.shape[:2]) >= side:
            top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
            yield np.ascontiguousarray(pixels[top : top + side, left : left + side, :3])


def as_networks_give(alpha: Floats) -> NDArray[np.bool_]:
    """A mask drawn at a quarter of the size, as most networks do."""
    side = alpha.shape[0]
    small = cv2.resize(alpha, (side // 4, side // 4), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR) > 0.5)


def gradient_error(found: Floats, truth: Floats, where: NDArray[np.bool_]) -> float:
    """Summed squared difference of the gradients' lengths, Gaussian derivatives of sigma 1.4, thousands."""

    def length(alpha: Floats) -> Floats:
        soft = cv2.GaussianBlur(alpha, (0, 0), 1.4)
        return np.hypot(
            cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.125)
        )

    return float(((length(found) - length(truth)) ** 2)[where].sum() / 1000 * 100)


def ways() -> dict[str, Callable[[NDArray[np.bool_], Picture], Floats]]:
    """The methods that are compared."""
    found: dict[str, Callable[[NDArray[np.bool_], Picture], Floats]] = {
        "hard mask": lambda mask, image: mask.astype(np.float32),
        "blurred mask": lambda mask, image: cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2.0),
        "guided": lambda mask, image: soft_alpha(mask, image, MatteSettings("guided", BAND)),
        "fine": lambda mask, image: soft_alpha(mask, image, MatteSettings("fine", BAND)),
    }
    if find_spec("pymatting"):
        from pymatting import estimate_alpha_cf

        def peer(mask: NDArray[np.bool_], image: Picture) -> Floats:
            known, unknown = trimap(mask, BAND)
            return estimate_alpha_cf(image / 255.0, np.where(unknown, 0.5, known).astype(np.float64)).astype(
                np.float32
            )

        found["pymatting, closed form"] = peer
    return found


BAND = 7


def still(folder: Path, count: int) -> None:
    """Question 1."""
    pictures = list(patches(folder, 3 * count + 30))
    rows: dict[tuple[str, str], list[list[float]]] = {}
    for k in range(count):
        front, back, new = (pictures[(3 * k + j) % len(pictures)] for j in range(3))
        alpha = outline(k)
        share = alpha[..., None]
        image = np.rint(front * share + back * (1 - share)).astype(np.uint8)
        goal = front * share + new * (1 - share)
        where = cv2.dilate(((alpha > 0) & (alpha < 1)).astype(np.uint8), np.ones((2 * NEAR + 1,) * 2)) > 0
        for kind, mask in (("exact", alpha > 0.5), ("network's", as_networks_give(alpha))):
            for name, way in ways().items():
                begin = time.process_time()
                found = way(mask, image)
                spent = time.process_time() - begin
                made = over(clean_colours(image, found), found, new)
                bare = over(image, found, new)
                away = [float(np.sqrt(((m - goal)[where] ** 2).mean())) for m in (bare, made)]
                apart = abs(found - alpha)[where]
                scores = [
                    apart.sum() / 1000,
                    (apart**2).mean() * 1000,
                    gradient_error(found, alpha, where),
                    *away,
                ]
                rows.setdefault((kind, name), []).append([*scores, spent * 1000])
    print(
        "\n| mask | edges | SAD | MSE | gradient | picture | picture, colours cleaned | ms |"
        "\n|---|---|---|---|---|---|---|---|"
    )
    for (kind, name), values in rows.items():
        means = np.mean(values, axis=0)
        print(f"| {kind} | {name} | {' | '.join(f'{v:.2f}' for v in means[:5])} | {means[5]:.0f} |")


def scenery(folder: Path, speed: float, count: int) -> Iterator[tuple[Picture, Floats]]:
    """An object with hair, ``speed`` pixels a frame, over a photograph, with noise; and its alpha."""
    front, back = list(patches(folder, 12))[:2]
    alpha = outline(5, SIDE)
    for t in range(count):
        shift = np.array([[1, 0, speed * (t - count / 2)], [0, 1, 0.0]])
        share = cv2.warpAffine(alpha, shift, (SIDE, SIDE))
        moved = cv2.warpAffine(front, shift, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
        mixed = moved * share[..., None] + back * (1 - share[..., None])
        noise = np.random.default_rng(t).normal(0, 2, mixed.shape)
        yield np.clip(np.rint(mixed + noise), 0, 255).astype(np.uint8), share


def trembling(alpha: Floats, seed: int) -> NDArray[np.bool_]:
    """A mask whose outline wavers by some two pixels, otherwise in each frame, as detections do."""
    rng = np.random.default_rng(seed)
    waver = cv2.resize(
        rng.normal(0, 1, (2, 20, 20)).transpose(1, 2, 0), alpha.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]].astype(np.float32)
    moved = cv2.remap(
        alpha, columns + 2 * waver[..., 0].astype(np.float32), rows + 2 * waver[..., 1].astype(np.float32), 1
    )
    return np.asarray(moved > 0.5)


def moving(folder: Path, count: int) -> None:
    """Question 2."""
    print(
        "\n| object moves, pixels a frame | smoothing | flicker, thousandths | SAD | left behind |\n"
        "|---|---|---|---|---|"
    )
    for speed in (0.0, 3.0, 8.0):
        for share in (0.0, 0.5, 0.8, 0.9):
            motion, steady = Motion(), Steady(share, MatteSettings().reach((SIDE, SIDE)))
            changes, apart, left = [], [], []
            last: Floats | None = None
            for t, (image, truth) in enumerate(scenery(folder, speed, count)):
                alpha = steady.step(soft_alpha(trembling(truth, t), image), motion.step(image))
                rim = cv2.dilate((truth > 0.02).astype(np.uint8), np.ones((9, 9))) == 0
                if t > 4 and last is not None:
                    if not speed:
                        near = cv2.dilate(((truth > 0) & (truth < 1)).astype(np.uint8), np.ones((9, 9))) > 0
                        changes.append(float(abs(alpha - last)[near].mean()) * 1000)
                    apart.append(float(abs(alpha - truth).sum()) / 1000)
                    left.append(float(alpha[rim].mean()) * 1000)
                last = alpha
            flicker = f"{statistics.mean(changes):.1f}" if changes else ""
            print(
                f"| {speed:g} | {share:g} | {flicker} | {statistics.mean(apart):.2f} "
                f"| {statistics.mean(left):.3f} |"
            )


def stages(count: int, size: tuple[int, int] = (720, 1280)) -> None:
    """Question 3: processor time of one thread, as other programs do not change it much."""
    rng = np.random.default_rng(0)
    ground = cv2.resize(
        rng.integers(0, 256, (45, 80, 3)).astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC
    )
    film = []
    for t in range(count):
        labels, picture = np.zeros(size, np.int32), ground.copy()
        for k in range(3):
            centre = (200 + 400 * k + 4 * t, 380)
            for canvas, value in ((labels, k + 1), (picture, (40, 60 * k, 200))):
                cv2.ellipse(canvas, centre, (70, 210), 0, 0, 360, value, -1)
        film.append((picture, Instances(size, masks=Masks.from_label_image(labels))))
    looks = {
        "blur": Look(Blur()),
        "blur, no smoothing": Look(Blur(), steady=0, hold=0),
        "blur, hard edges": Look(Blur(), matte=MatteSettings("hard"), steady=0, hold=0),
        "colour": Look(Plain((0, 128, 0))),
        "outline, spotlight": Look(effects=(Effect("outline"), Effect("spotlight"))),
        "pixelate": Look(effects=(Effect("pixelate"),)),
        "remove": Look(effects=(Effect("remove"),)),
    }
    print(f"\n| 3 objects on {size[1]} x {size[0]} | ms a frame | frames/s |\n|---|---|---|")
    for name, look in looks.items():
        compositor = Compositor(look)
        begin = time.process_time()
        for t, (picture, objects) in enumerate(film):
            compositor.compose(picture, objects, t / 25)
        told(name, (time.process_time() - begin) / count)
    with tempfile.TemporaryDirectory() as folder:
        for ending, alpha in ((".mp4", False), (".mov", True), (".webm", True)):
            path = Path(folder) / f"film{ending}"
            begin = time.process_time()
            with FilmWriter(path, 25, alpha=alpha) as writer:
                for t, (picture, objects) in enumerate(film):
                    shade = (objects.to_label_image() > 0).astype(np.uint8) * 255
                    writer.add(np.dstack([picture, shade]) if alpha else picture, t / 25)
            told(f"encoding {ending}{' with alpha' if alpha else ''}", (time.process_time() - begin) / count)
            if ending == ".mp4":
                begin = time.process_time()
                for _ in frames(path):
                    pass
                told("decoding .mp4", (time.process_time() - begin) / count)


def told(name: str, seconds: float) -> None:
    print(f"| {name} | {seconds * 1000:.0f} | {1 / seconds:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "opencv-python-headless", "av"))
    print(
        f"{datetime.datetime.now(datetime.UTC).date()}, {platform.processor() or platform.machine()}, "
        f"{packages}"
    )
    still(arguments.photos, 3 if arguments.quick else 12)
    moving(arguments.photos, 10 if arguments.quick else 24)
    stages(6 if arguments.quick else 20)


if __name__ == "__main__":
    main()
