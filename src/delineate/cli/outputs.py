"""What `delineate predict` writes: files per image, and tables and one COCO file for the run."""

from __future__ import annotations

from delineate.engine.batch_files import ENDINGS, write_json
from delineate.engine.batch_outputs import VIDEO_ENDINGS, Outputs, parse_kinds

__all__ = ["ENDINGS", "VIDEO_ENDINGS", "Outputs", "parse_kinds", "write_json"]
