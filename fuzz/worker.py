"""One target in a process of its own: input after input, each laid down before it is read.

The input lies in shared memory, so that whoever watches can tell which one a crash, a hang or a flood of
memory came from. With Atheris (``pip install atheris``) inputs follow the code that they reach; without,
chance.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import mmap
import os
import random
import resource
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST = 1 << 20
SWELLS = 400 << 20
"""Bytes more than ever before, after which an input is kept to be looked at; it is no finding yet."""
HEAD = 24
"""Bytes before an input in the shared file: how many were read, its length, how many were refused oddly."""


class Slot:
    """The shared file."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(HEAD + MOST))
        self.file = path.open("r+b")
        self.memory = mmap.mmap(self.file.fileno(), HEAD + MOST)

    def lay(self, data: bytes) -> None:
        """An input that is about to be read."""
        self.memory[HEAD : HEAD + len(data)] = data
        self.memory[8:16] = len(data).to_bytes(8, "little")
        self.memory[0:8] = (self.count + 1).to_bytes(8, "little")

    @property
    def count(self) -> int:
        """How many were laid down."""
        return int.from_bytes(self.memory[0:8], "little")

    @property
    def data(self) -> bytes:
        """The last of them."""
        return self.memory[HEAD : HEAD + int.from_bytes(self.memory[8:16], "little")]


def place_of(error: BaseException) -> str:
    """Kind of an exception, and the innermost lines of the program's own that it passed."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}delineate{os.sep}" in f.filename]
    where = [f"{Path(f.filename).name}:{f.lineno}" for f in own[-2:]]
    return f"{type(error).__name__} {' '.join(where)}"


def peak() -> int:
    """Most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


class Reader:
    """Reads inputs; what is raised that should not be is kept once for each place."""

    def __init__(self, read: Callable[[bytes], None], slot: Slot, found: Path) -> None:
        self.read, self.slot, self.found = read, slot, found
        self.known: set[str] = set()
        self.most = peak()

    def __call__(self, data: bytes) -> None:
        """One input."""
        self.slot.lay(data)
        self._read(data)
        if peak() > self.most + SWELLS:
            self.most = peak()
            (self.found / f"swells-to-{self.most >> 20}-MB").write_bytes(data)

    def _read(self, data: bytes) -> None:
        try:
            self.read(data)
        except Exception as error:
            where = place_of(error)
            name = "".join(c if c.isalnum() else "-" for c in where)
            if where in self.known or (self.found / name).exists():
                return
            self.known.add(where)
            (self.found / name).write_bytes(data)
            (self.found / f"{name}.txt").write_text(traceback.format_exc()[-6000:], encoding="utf-8")


def by_chance(reader: Reader, seeds: list[bytes], rng: random.Random) -> None:
    """Changed seeds, and changed seeds changed again, for ever."""
    from mutate import mutated

    while True:
        data = rng.choice(seeds)
        head, body = (data[:1], data[1:]) if reader.found.name in TAGGED else (b"", data)
        for _ in range(rng.choice((1, 1, 2, 3))):
            body = mutated(body, rng)
        reader((head + body)[:MOST])


TAGGED: set[str] = set()
"""Targets whose inputs begin with a byte that says what they are."""


def guided(reader: Reader, corpus: Path, seed: int) -> None:
    """Inputs by the code that they reach."""
    import atheris
    from mutate import mutated

    tagged = reader.found.name in TAGGED

    def change(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        head, body = (data[:1], data[1:]) if tagged else (b"", data)
        changed: bytes = mutated(body, rng, lambda b, _: atheris.Mutate(b, max(most - 1, len(b) + 1)))
        return (head + changed)[:most]

    off = ["rss_limit_mb", "detect_leaks", "len_control", "reload"]
    off += [f"handle_{name}" for name in ("segv", "abrt", "bus", "ill", "fpe")]
    options = ["timeout=86400", f"seed={seed}", f"max_len={MOST}", *(f"{name}=0" for name in off)]
    arguments = ["fuzz", *(f"-{option}" for option in options), str(corpus)]
    atheris.Setup(arguments, reader, custom_mutator=change)
    atheris.Fuzz()


def work(name: str, out: Path, seed: int, use_atheris: bool) -> None:
    """Reads inputs of a target until it is killed."""
    import tempfile

    import targets

    TAGGED.update(n for n in targets.TARGETS if n.startswith("dataset-"))
    TAGGED.update({"results", "tracks", "archives", "maps", "cameras", "bodies"})
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-", dir=os.environ.get("FUZZ_SCRATCH")))
    found, corpus = out / "found" / name, out / "corpus" / name
    for each in (found, corpus):
        each.mkdir(parents=True, exist_ok=True)
    seeds, read = targets.TARGETS[name](folder)
    for at, data in enumerate(seeds):
        (corpus / f"seed-{at}").write_bytes(data)
    reader = Reader(read, Slot(out / f"{name}.slot"), found)
    for data in seeds:
        reader(data)
    warnings.simplefilter("ignore")
    if use_atheris:
        guided(reader, corpus, seed)
    else:
        by_chance(reader, seeds, random.Random(seed))


def main(arguments: list[str]) -> None:
    """``worker.py NAME OUT SEED atheris|chance``."""
    name, out, seed, way = arguments
    faulthandler.enable()
    sys.setrecursionlimit(1000)
    if way == "atheris":
        import atheris

        with atheris.instrument_imports(include=["delineate"], enable_loader_override=False):
            work(name, Path(out), int(seed), True)
    else:
        work(name, Path(out), int(seed), False)


def has_atheris() -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec("atheris") is not None


if __name__ == "__main__":
    _: Any = main(sys.argv[1:])
