"""The models that a server offers, each exchanged while it serves when its file changes."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from delineate.core.errors import DelineateError, InputError
from delineate.engine.download import weights_path
from delineate.engine.load import FILES, Model, load
from delineate.engine.predict import tiling
from delineate.runtime.session import ENDINGS, Session

LOG = logging.getLogger("delineate.serve")
PROBE = 64  # side of the image that a new model must look at before it serves


@dataclass(frozen=True, eq=False)
class Shown:
    """A model that serves.

    Attributes:
        name: what it is asked for by.
        source: its name in the zoo, or its file.
        model: itself.
        version: the first twelve digits of its file's SHA-256.
        loaded: seconds since 1970.
        fault: why the last reload kept this one; empty where it did not.
    """

    name: str
    source: str
    model: Model
    version: str
    loaded: float
    fault: str = ""

    @property
    def path(self) -> Path:
        """Its file."""
        return _file_of(self.source)

    def together(self, shape: Sequence[int], tile: int | str) -> bool:
        """Whether an image of this shape is seen whole by a network that takes several at once."""
        exported = self.path.suffix.lower() in ENDINGS
        return not exported and tiling(self.model.segmenter, tuple(shape[:2]), tile) is None

    def grid(self, shape: Sequence[int]) -> tuple[int, int, int, int]:
        """The size that the network sees, without and with what is padded."""
        spec = self.model.segmenter.input
        height, width = spec.network_size((shape[0], shape[1]))
        up = spec.divisor
        return height, width, -(-height // up) * up, -(-width // up) * up

    def to_json(self) -> dict[str, Any]:
        """What the API tells."""
        return {
            "name": self.name,
            "version": self.version,
            "family": self.model.segmenter.family,
            "classes": list(self.model.classes.names),
            "licence": self.model.licence,
            "loaded": self.loaded,
            "fault": self.fault,
        }


class Shelf:
    """All models by name. One that was found stays whole in its finder's hand while another takes its place.

    Args:
        wanted: ``NAME``, ``FILE`` or ``NAME=FILE`` each; the first is the default.
        device: as for :func:`delineate.load`.
        threads: of the processor that a model uses; 0: as PyTorch or its runtime chooses.
        told: called with a model's name and ``loaded`` or ``kept`` after each reload.

    Raises:
        InputError: two of one name, or a model that cannot be loaded.
    """

    def __init__(
        self,
        wanted: Sequence[str],
        device: str = "",
        threads: int = 0,
        told: Callable[[str, str], object] = lambda *_: None,
    ) -> None:
        self.device, self.threads, self._told = device, threads, told
        self._shown: dict[str, Shown] = {}
        self._stamps: dict[str, tuple[int, int, int]] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._lock = threading.Lock()
        for text in wanted or ("nuclei",):
            name, source = _parse(text)
            if name in self._shown:
                raise InputError(
                    f"--model {text}: expected each name once, got {name!r} twice; write other=FILE"
                )
            self._stamps[name] = _stamp(_file_of(source))
            self._shown[name] = self._load(name, source)
        self.default = next(iter(self._shown))

    @property
    def names(self) -> tuple[str, ...]:
        """Names that may be asked for."""
        return tuple(self._shown)

    def find(self, name: str) -> Shown | None:
        """The model of a name that serves now; the default for an empty one."""
        return self._shown.get(name or self.default)

    def all(self) -> list[Shown]:
        """All that serve now."""
        return list(self._shown.values())

    def reload(self, name: str) -> Shown:
        """Loads a model's file again; where that fails the old one stays.

        Raises:
            DelineateError: the file cannot be used; the old model serves on.
        """
        with self._lock:
            old = self._shown[name]
            try:
                stamp = _stamp(old.path)
                new = self._load(name, old.source)
            except (DelineateError, OSError, MemoryError) as error:
                reason = str(error) or type(error).__name__
                self._shown[name] = replace(old, fault=reason)
                self._told(name, "kept")
                LOG.error(
                    "model_kept", extra={"facts": {"model": name, "version": old.version, "reason": reason}}
                )
                raise InputError(f"{reason}; version {old.version} serves on") from None
            self._stamps[name] = stamp
            self._shown[name] = new
            self._told(name, "loaded")
            LOG.info("model_loaded", extra={"facts": {"model": name, "version": new.version}})
            return new

    def watch(self) -> None:
        """Looks at all files once: one that has changed, and has not since the last look, is loaded again."""
        for name, shown in list(self._shown.items()):
            try:
                stamp = _stamp(shown.path)
            except (OSError, DelineateError):
                continue  # it may be about to be replaced; what is loaded serves on
            settled = self._seen.get(name) == stamp
            self._seen[name] = stamp
            if stamp == self._stamps[name] or not settled:
                continue
            self._stamps[name] = stamp  # a damaged file is tried once, not at every look
            try:
                self.reload(name)
            except DelineateError:
                LOG.debug("told where it happened")

    def _load(self, name: str, source: str) -> Shown:
        path = _file_of(source)
        try:
            if path.suffix.lower() in ENDINGS:  # a graph has files beside it
                session = Session(path, threads=self.threads or None)
                version = _digest(path)
                model = Model(session, session.name, session.manifest.licence)
            else:
                model, version = self._from_copy(source, path)
        except OSError as error:
            raise InputError(
                f"{path}: expected a weights file, got {error.strerror or error}; check the path"
            ) from None
        probe = model.predict(
            np.zeros((PROBE, PROBE, 3), np.uint8)
        )  # a model that cannot look must not serve
        assert probe.size == (PROBE, PROBE)
        return Shown(name, source, model, version, time.time())

    def _from_copy(self, source: str, path: Path) -> tuple[Model, str]:
        """Loaded from a copy: weights are mapped into memory, where one cut short ends the process."""
        if self.threads:
            import torch  # a server of exported models does without

            torch.set_num_threads(self.threads)
        with tempfile.TemporaryDirectory(prefix="delineate-serve-") as folder:
            copy = Path(folder) / path.name
            shutil.copyfile(path, copy)
            beside = path.with_name("config.json")  # of Hugging Face: the classes' names
            if beside.is_file():
                shutil.copyfile(beside, copy.with_name("config.json"))
            version = _digest(copy)
            try:
                return load(
                    None if _is_file(source) else source, weights=copy, device=self.device or None
                ), version
            except DelineateError as error:
                raise InputError(str(error).replace(str(copy), str(path))) from None


def _parse(text: str) -> tuple[str, str]:
    name, equals, source = text.partition("=")
    if not equals:
        name, source = (Path(text).stem, text) if _is_file(text) else (text, text)
    if not name or not source or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise InputError(
            f"--model {text}: expected NAME, FILE or NAME=FILE, a name of letters, digits, - _ .; correct it"
        )
    return name, source


def _is_file(source: str) -> bool:
    return Path(source).suffix.lower() in FILES


def _file_of(source: str) -> Path:
    return Path(source) if _is_file(source) else weights_path(source)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"{path}: expected a weights file, got nothing there; check the path") from None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
