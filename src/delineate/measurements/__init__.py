"""Measuring objects: size, shape, brightness, texture, neighbours, in pixels and in physical units."""

from .groups import Groups, measured_table, touching_pairs
from .summary import distributions, spreads, summary
from .table import table
from .volume import volume_table

__all__ = [
    "Groups",
    "distributions",
    "measured_table",
    "spreads",
    "summary",
    "table",
    "touching_pairs",
    "volume_table",
]
