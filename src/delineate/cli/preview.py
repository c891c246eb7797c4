"""`delineate preview`: a camera, a stream or a file, with its objects, live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from .options import Device, Quiet

EPILOG = """Examples:

delineate preview camera

delineate preview rtsp://user:password@10.0.0.7/door --model maskrcnn_resnet50_fpn --classes person --track

delineate preview camera:1 --size 1280x720 --rate 30 --weights people.safetensors --background blur

delineate preview clip.mp4 --loop --record seen.mp4 --seconds 60

delineate preview camera --weights people.safetensors --effect pixelate:person --sink /dev/video9

delineate preview http://10.0.0.8:8080/video.mjpg --sink mjpeg --port 9000 --json

What there is no time for is dropped, never delayed. Sinks: page, a page in the browser; mjpeg, the stream
alone, for other programs; /dev/videoN, a virtual camera (v4l2loopback); none. Ctrl-C ends it.

Exit codes: 0 ended, by you or with the source; 1 a sink failed, the rest went on; 2 wrong usage, or nothing
could be shown."""


def preview_command(
    source: Annotated[
        str,
        typer.Argument(
            help="camera, camera:1, /dev/video1; an rtsp, http, udp, tcp, srt or rtmp address; a video; "
            "a folder."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="Name of the zoo (see `delineate models`), or your weights file; none shows the source "
            "alone. Default: nuclei."
        ),
    ] = "",
    weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Weights that `delineate train` or `export` wrote."),
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="Show objects with a score above it, 0..1; begin tracks with it.")
    ] = 0.5,
    classes: Annotated[str, typer.Option(help="Look for these classes alone, as person,car.")] = "",
    track: Annotated[bool, typer.Option("--track", help="Give objects identities and trails.")] = False,
    tracker: Annotated[str, typer.Option(help="How they are followed: masks, sort, bytetrack, ..")] = "masks",
    background: Annotated[
        str, typer.Option(help="Compose: none, blur, blur=0.02, a colour, an image or a video file.")
    ] = "none",
    keep: Annotated[
        str, typer.Option(help="Objects that stay in front: a class, id:3, all, largest.")
    ] = "all",
    effect: Annotated[
        list[str] | None,
        typer.Option(
            help="Compose: outline, spotlight, pixelate, recolour or remove; see `composite --help`."
        ),
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(help="page, mjpeg, none, or /dev/videoN; may be repeated. Default: page."),
    ] = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Record what is shown: a file ending in .mp4, .mov or .webm."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8766,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    size: Annotated[str, typer.Option(help="Ask a camera for this size, as 1280x720.")] = "",
    rate: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Ask a camera for so many frames a second."),
    ] = None,
    pixel_format: Annotated[str, typer.Option(help="Ask a camera for it, as mjpeg or yuyv422.")] = "",
    transport: Annotated[Literal["tcp", "udp"], typer.Option(help="Of RTSP; udp has less delay.")] = "tcp",
    listen: Annotated[bool, typer.Option("--listen", help="RTSP: wait for a sender to connect.")] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds without a frame that mean a lost connection.")
    ] = 5.0,
    patience: Annotated[
        float, typer.Option(help="Seconds for which a lost connection is tried again.")
    ] = 30.0,
    loop: Annotated[bool, typer.Option("--loop", help="Play a file again and again.")] = False,
    seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="End after so many seconds."),
    ] = None,
    device: Device = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="At the end, print one JSON document on stdout.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Show a camera, a stream or a file live, with its objects."""
    from .messages import once_each, only_errors
    from .preview_run import PreviewRun, picture_size

    if quiet:
        only_errors()
    run = PreviewRun(source, quiet=quiet, as_json=as_json)
    run.choose_look(background, keep, effect or [])
    run.choose_sinks(sink or ["page"], record, host, port)
    run.open(
        size=picture_size(size), rate=rate, pixel_format=pixel_format, transport=transport, listen=listen,
        timeout=timeout, patience=patience, loop=loop,
    )  # fmt: skip
    names = [name.strip() for name in classes.split(",") if name.strip()]
    run.choose_model(model, weights, device, confidence, names, tracker if track else "")
    with once_each():
        run.go(browser, seconds)
    if run.failed:
        raise typer.Exit(1)
