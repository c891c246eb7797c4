"""Options that many commands have, with the same words in each."""

from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps. Default: CUDA where there is one.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")]
Confidence = Annotated[float, typer.Option(help="Keep objects with a score above it, 0..1.")]
Split = Annotated[str, typer.Option(help="Of a dataset only this split, such as val.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was cut off.")]
Pictures = Annotated[bool, typer.Option("--pictures/--no-pictures", help="With a folder: numbered overlays.")]
Page = Annotated[
    bool,
    typer.Option("--page/--no-page", help="With a folder: pages where a click ties a row to its object."),
]
Labelled = Annotated[
    str, typer.Option(help="Instead of a model: a dataset or label images of these photographs.")
]
