"""A live preview's latency, drops and memory: `python benchmarks/live.py [--quick] [--soak 5] [--browser]`.

A process of its own sends MJPEG over HTTP, 30 frames of 480 x 640 a second, 40 drifting blobs with the moment
of each frame's making written into the picture. A reader asks the preview's server for the newest picture, as
its page does, and tells the true age of what it gets: from the making of a frame to its decoding by the
reader, with encoding, sending, decoding, network, drawing, encoding and sending between. RTSP likewise where
GStreamer's server is installed (H.264, made by another process too).

The soak samples the resident memory every five seconds; the slope is that of a straight line through all
samples after the first minute.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import torch

from delineate.apply.composite import Blur, Look
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.capture import open_capture
from delineate.engine.live import LiveObjects
from delineate.engine.live_draw import LiveDrawing
from delineate.engine.load import load
from delineate.server.preview import Preview
from delineate.tracking.choose import tracker

RATE, SIZE = 30, (480, 640)
BITS, WIDE, TALL = 32, 8, 16  # the moment in milliseconds, columns of 8 x 16 pixels in the corner


def stamp(picture: Any) -> Any:
    """The picture with the moment written into its corner."""
    moment = int(1000 * time.monotonic()) % (1 << BITS)
    row = np.repeat(np.array([moment >> k & 1 for k in range(BITS)], np.uint8) * 180 + 40, WIDE)
    marked = picture.copy()
    marked[:TALL, : BITS * WIDE] = row[None, :, None]
    return marked


def age(picture: Any) -> float:
    """Seconds since the picture was made."""
    bright = picture[4 : TALL - 4, : BITS * WIDE].mean(axis=(0, 2)).reshape(BITS, WIDE).mean(axis=1) > 128
    sent = sum(1 << k for k, bit in enumerate(bright.tolist()) if bit)
    return (int(1000 * time.monotonic()) - sent) % (1 << BITS) / 1000


def scenes() -> list[Any]:
    """Twelve frames of dark blobs that drift over a rough ground."""
    rng = np.random.default_rng(0)
    places, steps = rng.uniform(40, 440, (40, 2)), rng.uniform(-4, 4, (40, 2))
    sides, ground = rng.integers(8, 20, (40, 2)), rng.normal(190, 8, (*SIZE, 3)).clip(0, 255).astype(np.uint8)
    pictures = []
    for k in range(12):
        picture = ground.copy()
        for place, step, side in zip(places, steps, sides, strict=True):
            middle = tuple(int(v) for v in place + k * step)
            cv2.ellipse(picture, middle, tuple(side.tolist()), 0, 0, 360, (110, 80, 130), -1)
        pictures.append(picture)
    return [*pictures, *pictures[::-1]]


def send(port: Any) -> None:
    """In a process of its own: MJPEG to whoever asks."""
    pictures = scenes()

    class Sender(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            begin, count = time.monotonic(), 0
            with suppress(OSError):
                while True:
                    data = simplejpeg.encode_jpeg(stamp(pictures[count % len(pictures)]), quality=90)
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
                    count += 1
                    time.sleep(max(0.0, begin + count / RATE - time.monotonic()))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sender)
    port.value = server.server_port
    server.serve_forever()


RTSP = """
import time, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
rest = bytes([110]) * (640 * 464)
def push(source):
    ms = time.monotonic_ns() // 1_000_000 & 0xFFFFFFFF
    row = b"".join((b"\\xdc" if ms >> k & 1 else b"\\x28") * 8 for k in range(32)) + bytes([110]) * 384
    source.emit("push-buffer", Gst.Buffer.new_wrapped(row * 16 + rest))
    return True
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch("( appsrc name=src is-live=true do-timestamp=true format=time "
    "caps=video/x-raw,format=GRAY8,width=640,height=480,framerate=30/1 ! videoconvert ! "
    "video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! "
    "rtph264pay name=pay0 pt=96 )")
factory.set_shared(True)
factory.connect("media-configure", lambda _, media:
    GLib.timeout_add(33, push, media.get_element().get_by_name_recurse_up("src")))
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service("0")
server.get_mount_points().add_factory("/door", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@contextmanager
def sources() -> Iterator[dict[str, str]]:
    """The addresses of what sends here."""
    context = multiprocessing.get_context("spawn")
    port = context.Value("i", 0)
    sender = context.Process(target=send, args=(port,), daemon=True)
    sender.start()
    rtsp = subprocess.Popen(
        ["/usr/bin/python3", "-c", RTSP], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) if Path("/usr/bin/python3").exists() else None  # fmt: skip
    try:
        while not port.value:
            time.sleep(0.05)
        found = {"MJPEG": f"http://127.0.0.1:{port.value}/"}
        line = rtsp.stdout.readline().strip() if rtsp is not None and rtsp.stdout is not None else ""
        if line.isdecimal():
            found["RTSP"] = f"rtsp://127.0.0.1:{line}/door"
        yield found
    finally:
        sender.kill()
        if rtsp is not None:
            rtsp.kill()


@dataclass
class Read:
    """What a reader of the preview saw."""

    ages: list[float] = field(default_factory=list)
    screen: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


def watch(preview: Preview, read: Read, left: threading.Event) -> None:
    """Asks for the newest picture again and again, as the page does."""
    number = 0
    while not left.is_set():
        with urllib.request.urlopen(f"{preview.address}/api/picture?after={number}&painted=1") as answer:
            if answer.status == 200:
                number = int(answer.headers["X-Number"])
                read.ages.append(age(simplejpeg.decode_jpeg(answer.read())))


@contextmanager
def browser(address: str) -> Iterator[None]:
    """A real page that looks, if asked for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        chromium.new_page().goto(address)
        yield
        chromium.close()


def whole_so_far(objects: LiveObjects) -> str:
    """How far a long run is."""
    done = objects.figures.summary()
    shown, old = f"{done['shown']} frames of {done['arrived']}", 1000 * done["age_median"]
    return f"{done['seconds']:.0f} s, {shown}, {old:.0f} ms old"


def resident() -> float:
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(
    address: str,
    model: Any,
    seconds: float,
    *,
    track: bool = False,
    look: Look | None = None,
    page: bool = False,
) -> tuple[dict[str, Any], Read]:
    """Shows a source for so many seconds; the run's figures, and what the reader saw."""
    read, left = Read(), threading.Event()
    drawing = LiveDrawing(look)
    with (
        LiveObjects(open_capture(address), model, tracker=tracker("masks") if track else None) as objects,
        Preview(lambda: {}, lambda _: None, port=0) as preview,
    ):
        objects.warm()
        watcher = threading.Thread(target=watch, args=(preview, read, left), daemon=True)
        timer = threading.Timer(seconds, objects.end)
        with browser(preview.address) if page else nullcontext():
            if not page:
                watcher.start()
            timer.start()
            sampled = time.monotonic()
            for live in objects:
                preview.channel.publish(drawing.draw(live), live.taken)
                if time.monotonic() - sampled > 5:
                    sampled = time.monotonic()
                    read.memory.append((sampled, resident()))
                    if seconds > 60:
                        print(f"{whole_so_far(objects)}, {resident():.0f} MB", file=sys.stderr, flush=True)
                    if (screen := preview.channel.on_screen()) is not None:
                        read.screen.append(screen)
            left.set()
        whole = objects.figures.summary() | {"spent": objects.figures.now().spent, "dropped": objects.dropped}
    return whole, read


def row(name: str, whole: dict[str, Any], read: Read) -> str:
    """A line of the table."""
    seen = sorted(a for a in read.ages if a < 60)
    middle = 1000 * statistics.median(seen) if seen else float("nan")
    high = 1000 * seen[int(0.95 * (len(seen) - 1))] if seen else float("nan")
    return (
        f"| {name} | {1000 * whole['spent']:.0f} | {whole['rate']:.1f} | {middle:.0f} | {high:.0f} | "
        f"{whole['dropped']} of {whole['arrived']} |"
    )


def sleeps(seconds: float) -> Callable[[Any], Instances]:
    """A network that takes its time and no processor's."""

    def find(image: Any) -> Instances:
        time.sleep(seconds)
        return Instances.empty((max(1, image.shape[0]), max(1, image.shape[1])))

    return find


def wandering(image: Any) -> Instances:
    """A network of 20 ms that finds 30 squares, which wander, come and go."""
    time.sleep(0.02)
    now, labels = time.monotonic(), np.zeros(image.shape[:2], np.int32)
    for k in range(30):
        x, y = int(300 + 280 * np.sin(now / 9 + k)), int(240 + 200 * np.cos(now / 7 + 2 * k))
        labels[max(0, y - 12) : y + 12, max(0, x - 12) : x + 12] = k + 1
    return Instances(image.shape[:2], masks=Masks.from_label_image(labels))


def soak(address: str, minutes: float) -> None:
    """Memory over a long run: a stand-in for a network, the tracker, trails and numbers, a reader."""
    whole, read = measure(address, wandering, 60 * minutes, track=True)
    later = [(t, m) for t, m in read.memory if t > read.memory[0][0] + 60] or read.memory
    slope = np.polyfit(*zip(*later, strict=True), 1)[0] * 60 if len(later) > 2 else float("nan")
    memory = [m for _, m in later]
    print(f"\nSoak of {minutes:g} minutes, 30 tracks: {whole['shown']} frames shown of "
          f"{whole['arrived']}; memory after the first minute {min(memory):.0f} to {max(memory):.0f} MB, "
          f"{slope:+.2f} MB a minute.", flush=True)  # fmt: skip
    print(row("whole soak", whole, read))
    tenth = max(1, len(read.ages) // 10)
    early, late = (1000 * statistics.median(a) for a in (read.ages[:tenth], read.ages[-tenth:]))
    print(f"age in its first tenth {early:.0f} ms, in its last {late:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few seconds for each row")
    parser.add_argument("--soak", type=float, default=0.0, help="minutes of a long run, and nothing else")
    parser.add_argument("--browser", action="store_true", help="ages at the painting of a real page too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seconds = 4.0 if arguments.quick else 15.0
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, one thread, load "
          f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}, torch {torch.__version__}, "
          f"av {version('av')}, {datetime.datetime.now(tz=datetime.UTC).date()}\n")  # fmt: skip
    if arguments.soak:
        with sources() as places:
            soak(places["MJPEG"], arguments.soak)
        return
    print("| source, network, drawing | network ms | shown frames/s | age ms | 95 % | dropped |")
    print("|---|---|---|---|---|---|", flush=True)
    with sources() as places:
        for kind, address in places.items():
            print(row(f"{kind}, none", *measure(address, sleeps(0), seconds)), flush=True)
            print(row(f"{kind}, 100 ms", *measure(address, sleeps(0.1), seconds)), flush=True)
            print(row(f"{kind}, 500 ms", *measure(address, sleeps(0.5), seconds)), flush=True)
        web, model = places["MJPEG"], load()
        print(row("MJPEG, nuclei, outlines", *measure(web, model, seconds)), flush=True)
        print(row("MJPEG, nuclei, tracks", *measure(web, model, seconds, track=True)), flush=True)
        print(
            row("MJPEG, nuclei, background blurred", *measure(web, model, seconds, look=Look(Blur()))),
            flush=True,
        )
        if arguments.browser:
            whole, read = measure(web, sleeps(0), 4 * seconds, page=True)
            shown = 1000 * statistics.median(read.screen) if read.screen else float("nan")
            print(f"\nA page in Chromium, no network: {whole['rate']:.1f} frames/s, painted {shown:.0f} ms "
                  "after the taking (median of five-second medians).", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
