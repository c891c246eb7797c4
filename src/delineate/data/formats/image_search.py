"""Finding the images that an annotation tool's file names: beside it, in its usual folders, never outside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from delineate.core.errors import DatasetError

from ..sniff import SUFFIXES
from .coco_check import Bad, Findings
from .json_file import show

Images = str | Path | Literal[False] | None


def relative(name: object, where: str, findings: Findings | None = None) -> str:
    """A file name as a path with ``/`` that stays inside its folder.

    Args:
        name: as it stands in a file.
        where: its place there.
        findings: counts names that were mended.

    Raises:
        Bad: no text, a null byte, an address, or a path that leads outside.
    """
    if not isinstance(name, str) or not name.strip():
        raise Bad(f"{where}: expected a file name, got {show(name)}")
    if "\0" in name:
        raise Bad(f"{where}: expected a file name, got one with a null byte")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        raise Bad(f"{where}: expected a file name, got a URL ({show(name)}), which is never fetched")
    if "\\" in name:
        name = name.replace("\\", "/")
        if findings is not None:
            findings.count("file name with Windows backslashes", where)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in PurePosixPath(name).parts:
        raise Bad(
            f"{where}: expected a path inside the dataset, got {show(name)}, which leads outside; "
            "name the images' folder (`--image-folder`)"
        )
    return str(PurePosixPath(name))


class ImageSearch:
    """Looks for the images of one dataset, and remembers those that are missing.

    Args:
        root: the dataset's folder.
        images: the folder of the images where they do not lie there; False looks for none.
        around: folders inside ``root`` that the tool uses, tried after ``root`` itself.

    Raises:
        DatasetError: ``images`` is no folder.
    """

    def __init__(self, root: Path, images: Images, around: Sequence[str] = ("images",)) -> None:
        self.root, self.images = root, images
        if isinstance(images, str | Path):
            if not Path(images).is_dir():
                raise DatasetError(
                    f"{images}: expected the folder of the images, got no folder; check `--image-folder`"
                )
            self.folders = [Path(images)]
        else:
            self.folders = [root, *(root / name for name in around)]
        self.asked = 0
        self.missing: list[str] = []
        self._inside: dict[str, list[Path]] | None = None

    def __call__(self, name: str, others: Sequence[str] = (), beside: Path | None = None) -> Path | None:
        """Where an image lies; None where it is missing.

        Args:
            name: as :func:`relative` gives it.
            others: other names that it may have.
            beside: the folder of the file that names it, tried first.
        """
        self.asked += 1
        if self.images is False:
            return Path(name)
        folders = self.folders if beside is None or self.images is not None else [beside, *self.folders]
        for candidate in dict.fromkeys((name, PurePosixPath(name).name, *others)):
            for folder in folders:
                if _is_file(folder / candidate):
                    return folder / candidate
        for candidate in dict.fromkeys((PurePosixPath(name).name, *others)):
            found = self._anywhere().get(candidate, [])
            if len(found) == 1:
                return found[0]
        self.missing.append(name)
        return None

    def _anywhere(self) -> dict[str, list[Path]]:
        """All image files inside the folder, by name."""
        if self._inside is None:
            self._inside = {}
            folder = self.root if self.images is None else self.folders[0]
            for path in folder.rglob("*"):
                if path.suffix.lower() in SUFFIXES and path.is_file():
                    self._inside.setdefault(path.name, []).append(path)
        return self._inside

    def settle(self, findings: Findings, skip_invalid: bool) -> None:
        """Tells of the missing images.

        Raises:
            DatasetError: images are missing and ``skip_invalid`` is False.
        """
        if not self.missing:
            return
        named = ", ".join(self.missing[:3]) + (", …" if len(self.missing) > 3 else "")
        if not skip_invalid:
            raise DatasetError(
                f"{findings.path}: expected {self.asked} image files in {self.folders[0]}, got "
                f"{len(self.missing)} missing: {named}; name their folder: `--image-folder`, "
                "or leave them out with skip_invalid=True (`--skip-invalid`)"
            )
        findings.problems.append(f"{len(self.missing)} image files are missing ({named})")


def same_stem(folder: Path, stem: str) -> list[str]:
    """The images of a folder that are called ``stem`` but for their ending."""
    return [stem + suffix for suffix in SUFFIXES if (folder / (stem + suffix)).is_file()]


def _is_file(path: Path) -> bool:
    """Whether a file lies there; a name that is too long for any file names none."""
    try:
        return path.is_file()
    except OSError:
        return False
