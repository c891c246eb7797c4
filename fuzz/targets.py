"""All targets by name: whoever imports this has them."""

from __future__ import annotations

import targets_bodies
import targets_datasets
import targets_files
import targets_pictures
from reading import TARGETS

__all__ = ["TARGETS", "targets_bodies", "targets_datasets", "targets_files", "targets_pictures"]
