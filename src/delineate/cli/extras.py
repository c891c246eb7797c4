"""What is said where a package of an extra is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needing(extra: str, where: str, otherwise: str = "") -> Iterator[None]:
    """Around imports that an extra brings the packages for.

    Args:
        extra: its name.
        where: the command.
        otherwise: what else helps.

    Raises:
        MissingDependencyError: a package is missing, and it is none of ours.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("delineate"):
            raise
        from delineate.core.errors import MissingDependencyError

        raise MissingDependencyError(
            f"{where}: expected the package {error.name}, got none; "
            f"install it: pip install 'delineate[{extra}]'{otherwise}"
        ) from None
