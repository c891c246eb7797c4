"""Errors that a user can act on: what was expected, what came, how to mend it."""

from __future__ import annotations


class DelineateError(Exception):
    """A problem with what the user gave, told in one line.

    The command line prints the message and exits with code 2; no traceback. Write the message as
    ``"<where>: expected <what>, got <what>; <how to mend it>"``.
    """


class InputError(DelineateError, ValueError):
    """A file, array or setting that cannot be used as it is."""


class MaskError(InputError):
    """A mask, run-length encoding or polygon that is not well formed."""


class DatasetError(InputError):
    """A dataset or annotation file that is not well formed."""


class CheckpointError(InputError):
    """A weights file that is damaged, unsafe, or made for another model."""


class MissingDependencyError(DelineateError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


TORCH = ("torch", "torchvision", "timm")
"""Packages that networks need; exported models run without them."""
