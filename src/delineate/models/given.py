"""What the builders are given, as objects: the classes, and how images become the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.nn.timm_features import normalisation

from .coco import COCO

ClassesLike = Labels | Mapping[str, Any] | None
InputLike = InputSpec | Mapping[str, Any] | None


def classes_of(given: ClassesLike) -> Labels:
    """The classes themselves, from their plain form, or COCO's 80 things.

    Raises:
        InputError: neither classes nor their plain form.
    """
    if given is None:
        return COCO
    return given if isinstance(given, Labels) else Labels.from_dict(_table(given, "classes"))


def input_of(given: InputLike, default: InputSpec, weights: str | None = None) -> InputSpec:
    """The input itself, from its plain form, or the default.

    Args:
        given: a whole :class:`InputSpec`, some of its fields by name, or nothing.
        default: where nothing is given.
        weights: name of timm's weights that the network starts from, if any: a mean and a standard deviation
            that are not given are those of their training.

    Raises:
        InputError: a field that is none, a value out of its range, or weights that timm does not know.
    """
    if isinstance(given, InputSpec):
        return given
    if given is None and weights is None:
        return default
    fields = default.to_dict() if given is None else _table(given, "input")
    if weights is not None:
        mean, std = normalisation(weights)
        of_weights = {"mean": mean, "std": std}
        fields = fields | of_weights if given is None else of_weights | fields
    return InputSpec.from_dict(fields)


def _table(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: expected a table of settings, got {given!r}; give its fields by name")
    return dict(given)
