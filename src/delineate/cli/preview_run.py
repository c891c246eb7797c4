"""One run of `delineate preview`: its source, its model, its sinks, and what is said of it."""

from __future__ import annotations

import json
import re
import signal
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .extras import needing
from .messages import say, tell

if TYPE_CHECKING:
    from delineate.data.capture import Capture
    from delineate.engine.live import Live, LiveObjects
    from delineate.engine.live_draw import LiveDrawing

Show = Callable[[Any, "Live"], None]


class PreviewRun:
    """One source, shown.

    Attributes:
        failed: names of the sinks that failed.

    Args:
        source: as it is typed.
        quiet: say nothing but errors.
        as_json: print one document at the end, and nothing else on stdout.
    """

    def __init__(self, source: str, *, quiet: bool, as_json: bool) -> None:
        self.source, self.quiet, self.as_json = source, quiet, as_json
        self.failed: list[str] = []
        self.drawing: LiveDrawing
        self.capture: Capture
        self.objects: LiveObjects
        self._look: Any = None
        self._sinks: list[str] = []
        self._record: Path | None = None
        self._address = ("", 0)
        self._confidence: float | None = None
        self._what = ""

    def choose_look(self, background: str, keep: str, effects: list[str]) -> None:
        """What is made of the frames: outlines, or a composition."""
        from delineate.apply.composite import Effect, Look
        from delineate.apply.selection import Selection
        from delineate.core.errors import InputError
        from delineate.engine.backgrounds import background as parse
        from delineate.engine.live_draw import LiveDrawing

        behind = parse(background)
        if behind.transparent:
            raise InputError("--background: expected something to show, got transparent; use a colour")
        chosen = tuple(Effect.parse(text) for text in effects)
        if behind.behind is not None or chosen:
            self._look = Look(behind.behind, keep=Selection.parse(keep), effects=chosen)
        self.drawing = LiveDrawing(self._look)

    def choose_sinks(self, sinks: list[str], record: Path | None, host: str, port: int) -> None:
        """Where pictures go."""
        from delineate.core.errors import InputError

        self._sinks = [s for s in dict.fromkeys(sinks) if s != "none"]
        for name in self._sinks:
            if name not in ("page", "mjpeg") and not name.startswith("/dev/"):
                raise InputError(f"--sink: expected page, mjpeg, none or /dev/videoN, got {name!r}; use page")
        self._record, self._address = record, (host, port)

    def open(self, **settings: Any) -> None:
        """Opens the source."""
        from delineate.data.capture import open_capture

        self.capture = open_capture(self.source, **settings)
        self._what = _described(self.capture)

    def choose_model(
        self,
        model: str,
        weights: Path | None,
        device: str,
        confidence: float,
        classes: list[str],
        tracker: str,
    ) -> None:
        """Loads the model, runs it once, and makes the tracker."""
        from delineate.engine.live import LiveObjects
        from delineate.engine.predict import check_settings
        from delineate.engine.track import WEAK

        with self._closing_on_error():
            check_settings(confidence=confidence)
            follow = _tracker(tracker, confidence) if tracker else None
            if model == "none":
                self.objects = LiveObjects(self.capture, nothing)
                return
            from delineate.engine.load import load

            found = load(model or None, weights=weights, device=device or None)
            if self._look is not None:
                for chosen in self._look.selections:
                    chosen.check(found.classes, tracked=bool(tracker))
            self._confidence = None if tracker else confidence  # a tracker takes its own at the start
            self.objects = LiveObjects(
                self.capture, found, tracker=follow, classes=classes,
                confidence=min(WEAK, confidence) if tracker else confidence,
            )  # fmt: skip
            self._what += f", {found.name or model or weights}"
            self.objects.warm()

    def go(self, browser: bool, seconds: float | None) -> None:
        """Shows the source until it ends, or Ctrl-C, or ``seconds`` after the first frame are over."""
        from delineate.core.errors import InputError

        with ExitStack() as stack:
            stack.enter_context(self.objects)
            shows = self._open_sinks(stack, browser)
            caught = stack.enter_context(_ended_by_signals(self.objects.end))
            timer = threading.Timer(seconds or 0.0, self.objects.end)
            timer.daemon = True
            stack.callback(timer.cancel)
            tick = stack.enter_context(_status(self.quiet))
            for live in self.objects:
                if seconds is not None and not timer.ident:
                    timer.start()
                self._show(live, shows)
                tick(self.objects.figures)
        whole = self._summary()
        if not whole["arrived"] and not caught:
            raise InputError(f"{self.capture.source.shown}: expected frames, got none; choose another source")
        if self.as_json:
            tell(json.dumps(whole))
        elif not self.quiet:
            tell(_line(whole))

    def _show(self, live: Live, shows: dict[str, Show]) -> None:
        """One picture to all sinks; one that fails is told and left out from then on."""
        from delineate.core.errors import DelineateError

        picture = self.drawing.draw(live)
        for name, show in list(shows.items()):
            try:
                show(picture, live)
            except DelineateError as error:
                say(f"error: {error}")
                self.failed.append(name)
                del shows[name]
                if not shows:
                    raise

    def _open_sinks(self, stack: ExitStack, browser: bool) -> dict[str, Show]:
        shows: dict[str, Show] = {}
        if "page" in self._sinks or "mjpeg" in self._sinks:
            shows["page"] = self._open_page(stack, browser)
        for name in self._sinks:
            if name.startswith("/dev/"):
                from delineate.data.virtual_camera import VirtualCamera

                camera = stack.enter_context(VirtualCamera(name, self.capture.rate or 30))
                shows[name] = lambda picture, live, camera=camera: camera.add(picture)  # type: ignore[misc]
        if self._record is not None:
            from delineate.engine.live_record import Recording

            recording = stack.enter_context(Recording(self._record, self.capture.rate or 25))
            shows[str(self._record)] = lambda picture, live: recording.add(picture, live.time)
        return shows

    def _open_page(self, stack: ExitStack, browser: bool) -> Show:
        with needing("serve", "preview", ", or leave the page out: --sink none"):
            from delineate.server.preview import Preview
        host, port = self._address
        page = "page" in self._sinks
        preview = stack.enter_context(Preview(self._figures, self._change, host=host, port=port, page=page))
        say(f"preview: {preview.address} (Ctrl-C ends it)")
        if page and browser:
            webbrowser.open(preview.address)
        return lambda picture, live: preview.channel.publish(picture, live.taken)

    def _figures(self) -> dict[str, Any]:
        """What the page shows."""
        from dataclasses import asdict

        return asdict(self.objects.figures.now()) | {
            "source": self.capture.source.shown,
            "what": self._what,
            "plain": self.drawing.plain,
            "confidence": self._confidence,
            "reconnects": self.capture.reconnects,
        }

    def _change(self, wanted: dict[str, Any]) -> None:
        """What the page asks for."""
        from delineate.core.errors import InputError

        for name, value in wanted.items():
            if name == "plain" and isinstance(value, bool):
                self.drawing.plain = value
            elif name == "confidence" and isinstance(value, int | float) and self._confidence is not None:
                self.objects.set(confidence=float(value))
                self._confidence = float(value)
            else:
                raise InputError(f"settings: expected plain or confidence, got {name!r}; send one of them")

    def _summary(self) -> dict[str, Any]:
        return {"source": self.capture.source.shown, **self.objects.figures.summary()} | {
            "dropped": self.objects.dropped,
            "damaged": self.capture.damaged,
            "reconnects": self.capture.reconnects,
            "failed": self.failed,
            "recorded": str(self._record) if self._record is not None else None,
        }

    @contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.capture.close()
            raise


def _tracker(name: str, confidence: float) -> Any:
    """A tracker that begins tracks with scores of at least ``confidence``."""
    from dataclasses import fields

    from delineate.tracking.choose import settings_of, tracker

    known = {f.name for f in fields(settings_of(name))}  # type: ignore[arg-type]
    return tracker(name, **{key: confidence for key in ("high", "begin") if key in known})


def nothing(image: Any) -> Any:
    """The objects of a picture that nobody looks at: none."""
    from delineate.core.instances import Instances

    return Instances.empty((int(image.shape[0]), int(image.shape[1])))


def picture_size(text: str) -> tuple[int, int] | None:
    """``1280x720`` as (height, width); None for nothing.

    Raises:
        InputError: something else.
    """
    from delineate.core.errors import InputError

    if not text:
        return None
    found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text.strip().lower())
    if found is None:
        raise InputError(f"--size: expected width x height as 1280x720, got {text!r}; correct it")
    return int(found[2]), int(found[1])


def _described(capture: Capture) -> str:
    parts = [f"{capture.size[1]} x {capture.size[0]}"] if capture.size else []
    return ", ".join([*parts, f"{capture.rate:g} frames/s"] if capture.rate else parts)


def _line(whole: dict[str, Any]) -> str:
    lost = f", {whole['reconnects']} reconnects" if whole["reconnects"] else ""
    saved = f"; recorded in {whole['recorded']}" if whole["recorded"] else ""
    return (
        f"{whole['source']}: {whole['shown']} frames shown in {whole['seconds']:.1f} s ({whole['rate']:.1f} "
        f"frames/s), {1000 * whole['age_median']:.0f} ms old (95 % below {1000 * whole['age_95']:.0f} ms), "
        f"{whole['dropped']} dropped{lost}{saved}"
    )


@contextmanager
def _ended_by_signals(end: Callable[[], None]) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM call ``end``, so that a recording is finished; a second one ends at once.

    What is yielded holds the signals that came.
    """
    caught: list[int] = []

    def catch(number: int, _: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        end()

    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _status(quiet: bool) -> Iterator[Callable[[Any], None]]:
    """A line on a terminal's stderr: how fast, how old."""
    import sys
    import time

    from rich.console import Console

    console = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
    with console.status("waiting for the first frame") as line:
        last = 0.0

        def tick(figures: Any) -> None:
            nonlocal last
            if console.is_terminal and not console.quiet and time.monotonic() - last > 0.5:
                last, now = time.monotonic(), figures.now()
                line.update(
                    f"{now.rate:.1f} frames/s, {1000 * now.age:.0f} ms old, {now.objects} objects, "
                    f"{now.dropped} dropped"
                )

        yield tick
