"""Measuring objects: size, shape, brightness, in pixels and in physical units."""

from .summary import summary
from .table import table

__all__ = ["summary", "table"]
