"""What stain normalisation does to counts of nuclei: purple validation images of the Data Science Bowl 2018.

    DELINEATE_DATA=... python benchmarks/stain.py

Each image is counted as it is, and as another laboratory might have stained and photographed it: its stains
exchanged for those that Ruifrok and Johnston measured (2001, table 1), twice as strong or half. Then the same
after each normalisation. `--reference` prints the medians that stand in `data/stain.py` as the default.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import numpy as np

import delineate as dl
from delineate.data.images import read
from delineate.data.stain import METHODS, REFERENCE, WHITE, Normaliser, amounts, densities, fit

OTHER = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])


def rows(data: Path, split: str) -> list[dict[str, str]]:
    with (data / "split.csv").open() as file:
        return [r for r in csv.DictReader(file) if r["modality"].startswith("purple") and r["split"] == split]


def restained(pixels: np.ndarray, strength: float) -> np.ndarray:
    """The image in other stains; what its own two directions do not explain stays."""
    own = fit(pixels)
    if own is None:
        return pixels
    density = densities(pixels)
    found = amounts(density, own.vectors)
    other = OTHER / np.linalg.norm(OTHER, axis=1, keepdims=True)
    values = WHITE * np.exp(-(found @ other * strength + density - found @ own.vectors)) - 1
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8).reshape(pixels.shape)


def reference(data: Path) -> None:
    found = [fit(read(data / "images" / f"{r['id']}.png").pixels) for r in rows(data, "train")]
    known = [f for f in found if f is not None]
    for name in ("vectors", "most", "mean", "spread"):
        value = np.median([getattr(f, name) for f in known], axis=0)
        if name == "vectors":
            value /= np.linalg.norm(value, axis=1, keepdims=True)
        print(name, value.round(4).tolist())
    print(len(known), "images")


def counts(data: Path) -> None:
    model = dl.load("nuclei")
    looks = {
        "as it is": None,
        "other stains, half": 0.5,
        "other stains, as strong": 1.0,
        "other stains, double": 2.0,
    }
    print("| image | normalised by | nuclei found of annotated | mean error per image |")
    print("|---|---|---|---|")
    for look, strength in looks.items():
        for method in ("", *METHODS):
            pairs = []
            for row in rows(data, "val"):
                pixels = read(data / "images" / f"{row['id']}.png").pixels
                pixels = pixels if strength is None else restained(pixels, strength)
                pixels = Normaliser(method, REFERENCE)(pixels)[0] if method else pixels
                pairs.append((int(row["n_instances"]), len(model.predict(pixels, confidence=0.5))))
            true, found = np.array(pairs).T
            error = np.abs(true - found).mean()
            print(
                f"| {look} | {method or 'nothing'} | {found.sum()} of {true.sum()} | {error:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", action="store_true", help="print the default reference")
    chosen = parser.parse_args()
    folder = Path(os.environ["DELINEATE_DATA"]) / "dsb2018"
    (reference if chosen.reference else counts)(folder)
