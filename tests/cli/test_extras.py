"""A package of an extra that is missing is told with the command that brings it; a fault of ours is not."""

from __future__ import annotations

import pytest

from delineate.cli.extras import needing
from delineate.core.errors import MissingDependencyError


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(MissingDependencyError) as told, needing("serve", "studio", ", or do without"):
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401
    assert str(told.value) == (
        "studio: expected the package no_such_package, got none; "
        "install it: pip install 'delineate[serve]', or do without"
    )


def test_a_module_of_ours_that_is_missing_is_a_fault() -> None:
    with pytest.raises(ModuleNotFoundError), needing("serve", "studio"):
        import delineate.no_such_module  # type: ignore[import-not-found]  # noqa: F401
