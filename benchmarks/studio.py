"""How fast the studio's page is: frames a second while 5,000 objects are panned, time to open a huge image.

    python benchmarks/studio.py [--objects 5000] [--seconds 5] [--big 10000] [--shots DIR]

Starts `delineate studio` on made data and drives it in Chromium without a screen. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

# Every frame pans by what `step` says and asks for the next; the time between frames is what a user sees.
PAN = """
([seconds, scale]) => new Promise((done) => {
  const { studio, stage } = window.studio;
  const { view, image } = studio;
  if (scale) view.zoomTo(scale); else view.fit([0, 0, image.width, image.height], 0.04, 8);
  view.x += (image.width - (view.box[2] - view.box[0])) / 2 - view.x;
  view.y += (image.height - (view.box[3] - view.box[1])) / 2 - view.y;
  studio.tell("view");
  const settle = () => (stage.idle ? begin() : setTimeout(settle, 20));
  const begin = () => {
    const times = [];
    const first = performance.now();
    const frame = (now) => {
      times.push(now);
      const t = (now - first) / 1000;
      if (t > seconds) return done(times);
      view.panBy(14 * Math.cos(t * 1.3), 9 * Math.sin(t * 1.9));
      studio.tell("view");
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  };
  setTimeout(settle, 50);
})
"""


def crowd(folder: Path, objects: int) -> None:
    """One image of 6,000 x 3,000 with so many ellipses, as image and label image."""
    rng = np.random.default_rng(7)
    columns = int(np.ceil(np.sqrt(2 * objects)))
    pitch = 6000 / columns
    labels = np.zeros((3000, 6000), np.uint16)
    for k in range(objects):
        row, column = divmod(k, columns)
        centre = (np.array([column, row]) + 0.5 + rng.uniform(-0.15, 0.15, 2)) * pitch
        axes = rng.uniform(0.3, 0.48, 2) * pitch
        cv2.ellipse(
            labels,
            centre.astype(int).tolist(),
            axes.astype(int).tolist(),
            rng.uniform(0, 180),
            0,
            360,
            k + 1,
            -1,
        )
    light = (labels > 0) * rng.uniform(90, 200, objects + 1)[labels]
    image = cv2.GaussianBlur(light.astype(np.float32), (0, 0), 3) + rng.normal(20, 4, labels.shape)
    for name, array in (("images", image.clip(0, 255).astype(np.uint8)), ("labels", labels)):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "crowd.png"), array)


def huge(folder: Path, side: int) -> None:
    """A tiled TIFF, three channels of 8 bits."""
    import tifffile

    rng = np.random.default_rng(3)
    small = rng.integers(0, 255, (side // 40, side // 40, 3), np.uint8)
    folder.mkdir(parents=True)
    image = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    tifffile.imwrite(folder / "huge.tif", image, tile=(256, 256), compression="zlib", photometric="rgb")


@contextmanager
def serving(dataset: Path) -> Iterator[str]:
    """A studio on a free port; yields its address."""
    command = [sys.executable, "-m", "delineate", "studio", str(dataset), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            assert server.stdout is not None
            seen = ""
            for line in server.stdout:
                seen += line
                if found := re.search(r"studio: (http://\S+)", line):
                    break
            else:
                raise SystemExit(f"the studio did not start:\n{seen}")
            yield found[1]
        finally:
            server.terminate()


def until(page: Any, expression: str, seconds: float = 60) -> float:
    """Waits until an expression holds; returns the seconds that took."""
    begin = time.perf_counter()
    while not page.evaluate(expression):
        if time.perf_counter() - begin > seconds:
            told = page.evaluate("document.getElementById('toasts').innerText")
            raise SystemExit(f"never came true: {expression}; the page says: {told!r}")
        time.sleep(0.02)
    return time.perf_counter() - begin


def opened(browser: Any, address: str) -> tuple[Any, float]:
    """A page with its first image fully painted, and the seconds from asking for it."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    begin = time.perf_counter()
    page.goto(address)
    until(page, "document.body.classList.contains('ready')")
    until(page, "studio.stage.idle && studio.stage.scene.pictures.size > 0")
    return page, time.perf_counter() - begin


def frames(page: Any, seconds: float, scale: float) -> dict[str, float]:
    """Frames a second while panning, and the longest waits between two of them in ms."""
    times = np.array(page.evaluate(PAN, [seconds, scale]))
    waits = np.diff(times)
    return {
        "zoom": round(page.evaluate("studio.studio.view.scale"), 3),
        "frames_per_second": round(1000 / waits.mean(), 1),
        "wait_95_ms": round(float(np.percentile(waits, 95)), 1),
        "wait_longest_ms": round(float(waits.max()), 1),
    }


def main() -> None:
    """Makes the data, measures, prints."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--objects", type=int, default=5000)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--big", type=int, default=10_000, help="side of the huge image; 0 leaves it out")
    options.add_argument("--shots", type=Path, help="folder for screenshots")
    given = options.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    result: dict[str, Any] = {"objects": given.objects}
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=ARGS)
        result["chromium"] = browser.version
        crowd(Path(temporary) / "crowd", given.objects)
        with serving(Path(temporary) / "crowd") as address:
            page, result["open_crowd_s"] = opened(browser, address)
            result["pan"] = [frames(page, given.seconds, scale) for scale in (0, 0.5, 1, 3)]
            if given.shots:
                page.screenshot(path=given.shots / "crowd.png")
            page.close()
        if given.big:
            huge(Path(temporary) / "huge", given.big)
            with serving(Path(temporary) / "huge") as address:
                page, result["open_huge_s"] = opened(browser, address)
                result["pan_huge"] = [frames(page, given.seconds, scale) for scale in (0, 1)]
                if given.shots:
                    page.screenshot(path=given.shots / "huge.png")
                page.close()
        browser.close()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
