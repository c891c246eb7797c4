"""`delineate serve`: models over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

EPILOG = """Examples:

delineate serve --model nuclei

delineate serve --model nuclei --model leaves=runs/leaves/best.safetensors --port 9000

delineate serve --model nuclei --db jobs.sqlite

delineate serve --host 0.0.0.0 --tokens tokens.txt --model nuclei --db postgresql://delineate@db/jobs

curl -F image=@cells.png localhost:8000/api/predict

curl --data-binary @cells.png 'localhost:8000/api/predict?format=overlay' -o overlay.png

Ends gracefully on Ctrl-C or SIGTERM: what has begun is answered, jobs go on at the next start."""

_LIMIT = "Limits"


def serve_command(
    models: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--model", help="NAME, FILE or NAME=FILE; may be repeated, the first is the default."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    token: Annotated[
        str, typer.Option(help="A token that may do everything; better by the variable DELINEATE_TOKEN.")
    ] = "",
    tokens: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File of lines NAME ROLE TOKEN, role predict or admin, TOKEN or sha256:HEX."),
    ] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open", help="No tokens though other machines can reach it.")
    ] = False,
    hosts: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--allow-host", help="A host name it answers to; may be repeated."),
    ] = None,
    db: Annotated[
        str,
        typer.Option(
            help="Keep jobs here: a path, a URL of PostgreSQL, or @FILE that holds it. Default: no jobs."
        ),
    ] = "",
    allow_urls: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--allow-url", help="Fetch images from here, as https://HOST/PATH/; may be repeated."),
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Also where those names mean private addresses.")
    ] = False,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, mps. Default: CUDA where there is one.")
    ] = "",
    threads: Annotated[int, typer.Option(help="Processor threads of a look; 0: PyTorch's choice.")] = 0,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Looks at the same time. On a CPU one for each core, with --threads 1, answers most.",
        ),
    ] = 1,
    grace: Annotated[float, typer.Option(help="Seconds for requests to end in at SIGTERM.")] = 30.0,
    max_bytes: Annotated[int, typer.Option(help="Bytes of a request; 413.", rich_help_panel=_LIMIT)] = 64
    << 20,
    max_pixels: Annotated[
        int, typer.Option(help="Pixels of an image; 422.", rich_help_panel=_LIMIT)
    ] = 25_000_000,
    queue: Annotated[int, typer.Option(help="Images at once in all; 503.", rich_help_panel=_LIMIT)] = 32,
    per_client: Annotated[
        int, typer.Option(help="Images at once of one client; 429. 0: no such limit.", rich_help_panel=_LIMIT)
    ] = 0,
    deadline: Annotated[
        float, typer.Option(help="Seconds until the answer; 503.", rich_help_panel=_LIMIT)
    ] = 30.0,
    batch: Annotated[int, typer.Option(help="Images looked at together.", rich_help_panel=_LIMIT)] = 4,
    decoders: Annotated[int, typer.Option(help="Processes that decode.", rich_help_panel=_LIMIT)] = 1,
    read_seconds: Annotated[
        float,
        typer.Option(
            help="Seconds for a client to send, or to take its answer; 408.", rich_help_panel=_LIMIT
        ),
    ] = 30.0,
    keep_days: Annotated[
        float, typer.Option(help="Days that finished jobs are kept.", rich_help_panel=_LIMIT)
    ] = 7.0,
) -> None:
    """Answer predictions over HTTP: at once, or as jobs; KServe's protocol too."""
    from .extras import needing

    with needing("serve", "serve"):
        from delineate.server.predict.launch import Settings, serve
        from delineate.server.predict.limits import Limits
    from .messages import say

    limits = Limits(
        max_bytes=max_bytes, max_pixels=max_pixels, queue=queue, per_client=per_client, deadline=deadline,
        batch=batch, decoders=decoders, read_seconds=read_seconds, keep_days=keep_days,
    )  # fmt: skip
    settings = Settings(
        models=tuple(models or ()), host=host, port=port, token=token, tokens=tokens, open_to_all=open_to_all,
        hosts=tuple(hosts or ()), db=db, allow_urls=tuple(allow_urls or ()), allow_private=allow_private,
        device=device, threads=threads, workers=workers, grace=grace, limits=limits,
    )  # fmt: skip
    serve(settings, say)
