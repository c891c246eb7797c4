"""What a run of measuring is about: labels, datasets, results, or images for a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from delineate.core.errors import InputError

from .measure_sources import Choice, Item, dataset_of, items_of, model_items, own_names, result_items


def chosen_items(
    labels: Sequence[str], reading: Mapping[str, Any], model: str, confidence: float, data: str
) -> list[Item]:
    """The images to measure.

    Args:
        labels: as ``delineate measure`` takes them.
        reading: fields of :class:`~delineate.engine.measure_sources.Choice`.
        model: finds the objects in ``labels``, which are images then; empty: none.
        confidence: for the model.
        data: dataset that ``labels``, results of any tool, are about; empty: none.

    Raises:
        InputError: an input that is nothing of these.
    """
    choice = Choice(**reading)
    if model:
        from .load import load

        net = load(model)
        return model_items(labels, lambda pixels: net.predict(pixels, confidence=confidence), choice)
    if not data:
        return items_of(labels, choice)
    about = dataset_of(data, choice)
    if about is None:
        raise InputError(f"--data {data}: expected a dataset, got label images; give them as LABELS")
    return own_names([item for path in labels for item in result_items(path, about, choice)])
