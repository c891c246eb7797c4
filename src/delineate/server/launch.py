"""Starting the server: from the command's settings to a page in the browser."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI

from .app import create_app
from .auth import Gate, enter_users
from .listening import LOOPBACK, address_of, is_loopback, listen
from .source import open_source, place_of
from .store.database import Database
from .studio import Studio


@dataclass(frozen=True)
class Settings:
    """How the studio is to run.

    Attributes:
        dataset: what to open, see :func:`delineate.server.source.open_source`.
        host: address to listen at.
        port: 0 takes a free one.
        db: path or URL of the database; empty: ``.delineate/studio.sqlite`` beside the dataset.
        model: the model that draws first; empty for none.
        classes: classes to add.
        users: ``NAME:ROLE`` each; naming any asks everybody for a token.
        new_tokens: new tokens for those users.
        hosts: host names that requests may ask for; empty: loopback names where it listens there, else any.
        split: only this split.
    """

    dataset: str
    host: str = "127.0.0.1"
    port: int = 8765
    db: str = ""
    model: str = ""
    classes: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    new_tokens: bool = False
    hosts: tuple[str, ...] = ()
    split: str = ""


def open_studio(settings: Settings) -> tuple[Studio, dict[str, str]]:
    """The studio of these settings, and new users' tokens by name.

    Raises:
        InputError: the dataset, the database or a user cannot be used.
    """
    data = open_source(settings.dataset, settings.split, settings.classes)
    folder = place_of(data) / ".delineate"
    database = Database(settings.db or folder / "studio.sqlite")
    try:
        gate, tokens = _gate(settings, database)
        name = data.source.resolve().name or "studio"
        cache = database.folder or folder
        return Studio(data, database, gate, name, cache / "cache", model=settings.model), tokens
    except BaseException:
        database.close()
        raise


def _gate(settings: Settings, database: Database) -> tuple[Gate, dict[str, str]]:
    """Who may ask, and new users' tokens by name."""
    local = is_loopback(settings.host)
    wanted = dict(_user(text) for text in settings.users)
    gate = Gate(database, local and not wanted, settings.hosts or (LOOPBACK if local else ()))
    if not local and not wanted and not gate.has_users():
        wanted = {gate.owner.name: "admin"}
    return gate, enter_users(database, wanted, settings.new_tokens) if wanted else {}


def serve(settings: Settings, say: Callable[[str], object], browser: bool = True) -> None:
    """Runs until interrupted.

    Args:
        settings: how.
        say: takes lines for the user.
        browser: open the page.

    Raises:
        InputError: as :func:`open_studio`; also a port that is taken.
    """
    with listen(settings.host, settings.port) as listener:
        studio, tokens = open_studio(settings)
        app = create_app(studio)
        address = address_of(settings.host, listener.getsockname()[1])
        say(f"{studio.data.describe()}; saved in {studio.database.shown}")
        for name, token in tokens.items():
            say(f"{name}: {address}/login?{urlencode({'token': token})} (shown this once)")
        say(f"studio: {address} (Ctrl-C ends it)")
        if browser and studio.gate.open_to_all:
            threading.Timer(0.5, webbrowser.open, (address,)).start()
        run(app, listener)


def run(app: FastAPI, listener: socket.socket) -> None:
    """Serves an application on a socket until interrupted."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3, server_header=False)
    server = uvicorn.Server(config)
    studio: Studio = app.state.studio
    leave = server.handle_exit

    def handle_exit(sig: int, frame: object) -> None:
        studio.closing.set()  # those who wait for news are answered at once
        leave(sig, frame)  # type: ignore[arg-type]

    server.handle_exit = handle_exit  # type: ignore[method-assign]
    server.run(sockets=[listener])


def _user(text: str) -> tuple[str, str]:
    name, _, role = text.rpartition(":")
    return (name, role) if name else (role, "annotator")
