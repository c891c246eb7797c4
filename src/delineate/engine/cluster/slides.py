"""Slides on a cluster: windows are shared out, their objects noted, and each slide is joined at the end.

The notes are those of :func:`delineate.engine.large.predict_large`. The worker that joins a slide lays them
in order and lets that function go on from there: its files are those of a run that looked at every window by
itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError
from delineate.data.channel_names import chosen_channels
from delineate.data.rasters import open_raster

from ..batch_outputs import Outputs
from ..batch_sources import Reading
from ..large import look_at, predict_large
from ..large_journal import HEAD, TileJournal, packed_tile
from ..large_outputs import KINDS
from ..large_places import bare_name, places_of
from ..large_plan import Plan, make_plan
from ..large_settings import LargeSettings
from ..large_windows import ahead
from .chunks import Row, RowResult
from .commits import FOLDER, content_name
from .places import Place
from .sources import local_file

WINDOWS = 16
"""Most windows of a chunk."""
AHEAD = 1


@dataclass
class SlideWork:
    """A worker on large images. A row says what is wanted: ``plan``, ``window`` or ``join``.

    Attributes:
        load: gives the model.
        settings: fields of :class:`LargeSettings`, but the place in the file.
        reading: channels and page.
        place: where results go.
    """

    load: Any
    settings: Mapping[str, Any]
    reading: Reading
    place: Place
    _model: Any = field(default=None, repr=False)
    _held: tuple[str, Path, ExitStack] | None = field(default=None, repr=False)
    _cut: tuple[str, Plan] | None = field(default=None, repr=False)

    def begin(self) -> None:
        """Loads the model."""
        self._model = self.load()

    def read(self, row: Row) -> Iterator[Any]:
        """What a row asks for; a window is read, the rest waits for :meth:`look`."""
        if row["do"] != "window":
            yield None
            return
        plan = self._plan(row)
        yield next(ahead(plan.region.read, [plan.order[row["index"]]], AHEAD))

    def look(self, row: Row, thing: Any) -> dict[str, Any]:
        """A slide's windows, a window's objects, or the files of a slide."""
        if row["do"] == "plan":
            return {"slides": self._planned(row)}
        if row["do"] == "join":
            return self._joined(row)
        note, found = look_at(self._plan(row), thing)
        return {"tile": packed_tile(note, found), "objects": 0 if found is None else len(found)}

    def end(self, number: int, results: Sequence[RowResult]) -> dict[str, Any]:
        """Writes the notes of a chunk's windows; a window that was given up is noted as damaged."""
        told: dict[str, Any] = {"rows": [r.row["row"] for r in results], "images": 0, "objects": 0}
        told |= {"failed": [], "parts": {}, "columns": {}, "slides": [], "done": []}
        tiles: list[bytes] = []
        for one in results:
            for note in one.notes:
                if "tile" in note:
                    tiles.append(note["tile"])
                elif "slides" in note:
                    told["slides"] += note["slides"]
                else:
                    told["done"].append(note)
                    told["images"] += 1
                    told["objects"] += note["count"]
            if one.error and one.row["do"] == "window":
                x, y = one.row["corner"]
                tiles.append(packed_tile({"damaged": [x, y, 0, one.error], "blank": False}, None))
            elif one.error:
                told["failed"].append({"file": one.row["file"], "reason": one.error, "lost": one.lost})
        if tiles:
            data = b"".join(HEAD.pack(len(tile), 0) + tile for tile in tiles)
            told["parts"]["tiles"] = content_name(f"{FOLDER}/tiles", number, data, ".tiles")
            self.place.write(told["parts"]["tiles"], data)
        return told

    def _planned(self, row: Row) -> list[dict[str, Any]]:
        """The images of a file, each with the corners of the windows that are looked at."""
        found = []
        for part, place in places_of(str(self._path(row)), self.reading, row["stem"]):
            plan = self._plan({**row, "part": part, "place": place})
            x, y = plan.region.x, plan.region.y
            corners = [[x + w[0], y + w[1]] for w in plan.order]
            found.append({"of": row["row"], "part": part, "place": place, "corners": corners})
        return found

    def _joined(self, row: Row) -> dict[str, Any]:
        """Lays the notes of a slide's windows in order and writes its files."""
        plan, path, local = self._plan(row), self._path(row), self.place.local
        with tempfile.TemporaryDirectory(prefix="delineate-") as temporary:
            folder = Path(temporary) if local is None else local
            notes = folder / f".{row['place']['stem']}.tiles.journal"
            notes.unlink(missing_ok=True)  # of a worker that died here
            with TileJournal(notes, plan.what) as journal:
                for name in row["tiles"]:
                    for tile in _tiles(self.place.read(name)):
                        journal.add_packed(tile, to_disk=False)
            done = predict_large(self._model, path, folder, resume=True, **self._settings(row, path))
            if local is None:
                for file in done.files.values():
                    self.place.put(file, file.name)
        told = {"file": row["file"] + row["part"], "count": done.count, "classes": done.classes}
        told |= {"windows": done.tiles, "glass": done.glass, "damaged": [list(d) for d in done.damaged]}
        told |= {"files": {kind: file.name for kind, file in done.files.items()}}
        return told | {"width": done.size[1], "height": done.size[0], "notes": list(done.notes)}

    def _path(self, row: Row) -> Path:
        """A slide as a file of this machine, kept until another one's turn comes."""
        if self._held is None or self._held[0] != row["file"]:
            self._close()
            with ExitStack() as held:
                path = held.enter_context(local_file(row))
                self._held = (row["file"], path, held.pop_all())
        return self._held[1]

    def _plan(self, row: Row) -> Plan:
        """How an image of a slide is cut, kept likewise."""
        path = self._path(row)
        if self._cut is None or self._cut[0] != row["part"]:
            assert self._held is not None
            settings = LargeSettings(**self._settings(row, path))
            place: dict[str, Any] = {"series": 0, "time": settings.time, "z": settings.z}
            raster = self._held[2].enter_context(
                open_raster(path, channels=settings.channels, max_pixels=settings.max_pixels, **place)
            )
            self._cut = (row["part"], make_plan(self._model, raster, settings))
        return self._cut[1]

    def _close(self) -> None:
        if self._held is not None:
            self._held[2].close()
        self._held = self._cut = None

    def _settings(self, row: Row, path: Path) -> dict[str, Any]:
        channels = self.reading.channels
        chosen = chosen_channels(channels, path) if channels is not None else None
        return {**self.settings, **row["place"], "channels": chosen}


def _tiles(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        length, _ = HEAD.unpack_from(data, at)
        at += HEAD.size
        yield data[at : at + length]
        at += length


def plan_rows(rows: Sequence[Row], first: int) -> list[Row]:
    """Rows that ask for the windows of files; their numbers go on from ``first``, names are told apart."""
    names = Outputs(Path("results"), ())
    rest = {"do": "plan", "part": "", "place": {}}
    return [
        {**row, **rest, "row": first + k, "stem": names.stem(bare_name(row["stem"]))}
        for k, row in enumerate(rows)
    ]


def window_rows(plans: Sequence[Row], slides: Sequence[Mapping[str, Any]], first: int) -> list[Row]:
    """Rows for every window of every slide, slide after slide."""
    of = {row["row"]: row for row in plans}
    rows: list[Row] = []
    for number, slide in enumerate(slides):
        base = {**of[slide["of"]], "do": "window", "part": slide["part"], "place": slide["place"]}
        for index, corner in enumerate(slide["corners"]):
            rows.append({**base, "row": first + len(rows), "index": index, "corner": corner, "slide": number})
    return rows


def join_rows(
    plans: Sequence[Row], slides: Sequence[Mapping[str, Any]], tiles: Sequence[Sequence[str]], first: int
) -> list[Row]:
    """Rows that ask for the files of the slides, once all windows are noted."""
    of = {row["row"]: row for row in plans}
    rows: list[Row] = []
    for number, slide in enumerate(slides):
        base = {**of[slide["of"]], "do": "join", "part": slide["part"], "place": slide["place"]}
        rows.append({**base, "row": first + number, "tiles": list(tiles[number])})
    return rows


def kinds_for(save: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The kinds of files that slides have, and those that they do not.

    Raises:
        InputError: none of them is left.
    """
    kinds = tuple(kind for kind in KINDS if kind in save)
    left = [kind for kind in save if kind not in KINDS]
    if not kinds:
        raise InputError(f"--save: expected some of {','.join(KINDS)} for slides, got {','.join(save)}")
    return kinds, left
