"""Starting the prediction server: from the command's settings to a socket."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from delineate.core.errors import DelineateError, InputError

from ..listening import LOOPBACK, address_of, is_loopback, listen
from .app import create_app
from .decoder import Decoders
from .fetch import Fetcher, Place
from .job_store import JobStore
from .limits import Limits
from .logs import json_lines
from .metrics import Metrics
from .protocol import patient
from .queue import Line
from .runner import Runner
from .service import Service
from .shelf import Shelf
from .tokens import Tokens

LOG = logging.getLogger("delineate.serve")
TOKEN_VARIABLE = "DELINEATE_TOKEN"
FETCH_SECONDS = 10.0


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Attributes:
        models: ``NAME``, ``FILE`` or ``NAME=FILE`` each; empty: ``nuclei``.
        host: address to listen at.
        port: 0 takes a free one.
        token: one token with the role admin; empty: that of the variable ``DELINEATE_TOKEN``, if any.
        tokens: a file of tokens.
        open_to_all: ask nobody for a token though other machines can reach the server.
        hosts: host names that requests may ask for; empty: loopback names where it listens there, else any.
        db: path or URL of the store of jobs, or ``@FILE`` that holds it; empty: no jobs.
        allow_urls: places whose images may be fetched.
        allow_private: also from addresses that are not public.
        device: as for :func:`delineate.load`.
        threads: of the processor that a look uses; 0: as PyTorch or its runtime chooses.
        workers: looks at the same time.
        grace: seconds that requests have to end in once the server is told to end.
        limits: how much of everything.
    """

    models: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    tokens: Path | None = None
    open_to_all: bool = False
    hosts: tuple[str, ...] = ()
    db: str = ""
    allow_urls: tuple[str, ...] = ()
    allow_private: bool = False
    device: str = ""
    threads: int = 0
    workers: int = 1
    grace: float = 30.0
    limits: Limits = field(default_factory=Limits)


def open_service(settings: Settings) -> Service:
    """The service of these settings, its models loaded.

    Raises:
        InputError: a model, a token or a place that cannot be used; or no token where one is needed.
    """
    tokens = Tokens(settings.token or os.environ.get(TOKEN_VARIABLE, ""), settings.tokens)
    if not (is_loopback(settings.host) or tokens.needed or settings.open_to_all):
        raise InputError(
            f"--host {settings.host}: expected --token or --tokens where other machines can ask, got none; "
            "give one, or say --open"
        )
    limits, metrics = settings.limits, Metrics()
    places = [Place.of(text) for text in settings.allow_urls]
    fetcher = Fetcher(places, limits.max_bytes, FETCH_SECONDS, settings.allow_private)
    reloads = metrics.reloads
    shelf = Shelf(
        settings.models, settings.device, settings.threads, lambda name, how: reloads.labels(name, how).inc()
    )
    decoders = Decoders(
        limits.decoders,
        limits.decode_seconds,
        limits.max_pixels,
        lambda why: metrics.decoders.labels(why).inc(),
    )
    line = Line(shelf, limits.batch, settings.workers, metrics.looked)
    service = Service(shelf, line, decoders, limits, tokens, fetcher, metrics)
    if settings.db:
        try:
            store = JobStore(_address_in(settings.db), limits.waiting_images, limits.keep_days)
        except DelineateError:
            service.close()
            raise
        service.runner = Runner(store, service)
    return service


def _address_in(db: str) -> str:
    """The store's address, which may stand in a file, for it may hold a password."""
    if not db.startswith("@"):
        return db
    try:
        return Path(db[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--db {db}: expected a file with an address, got {error}; check the path") from None


def serve(settings: Settings, say: Callable[[str], object]) -> None:
    """Runs until it is told to end; then answers what has begun.

    Args:
        settings: how.
        say: takes lines for the user.

    Raises:
        InputError: as :func:`open_service`; also a port that is taken.
    """
    with listen(settings.host, settings.port) as listener:
        service = open_service(settings)
        hosts = settings.hosts or (LOOPBACK if is_loopback(settings.host) else ())
        app = create_app(service, hosts)
        names = ", ".join(f"{shown.name} ({shown.version})" for shown in service.shelf.all())
        say(f"models: {names}")
        say(f"serve: {address_of(settings.host, listener.getsockname()[1])} (Ctrl-C ends it)")
        with json_lines():
            LOG.info("started", extra={"facts": {"models": names, "pid": os.getpid()}})
            _run(app, service, listener, settings)
            LOG.info("ended")


def _run(app: FastAPI, service: Service, listener: object, settings: Settings) -> None:
    config = uvicorn.Config(
        app,
        http=patient(service.limits.read_seconds),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=int(settings.grace) or 1,
        h11_max_incomplete_event_size=1 << 16,
    )
    server = uvicorn.Server(config)
    leave = server.handle_exit

    def handle_exit(sig: int, frame: object) -> None:
        if not service.draining:
            LOG.info("draining", extra={"facts": {"inside": service.inside}})
        service.draining = True
        leave(sig, frame)  # type: ignore[arg-type]

    server.handle_exit = handle_exit  # type: ignore[method-assign]
    before = signal.signal(
        signal.SIGTERM, lambda *_: None
    )  # uvicorn raises it again at the end; to end is no fault
    try:
        server.run(sockets=[listener])  # type: ignore[list-item]
    finally:
        signal.signal(signal.SIGTERM, before)
