"""Peers that the model tests compare with."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def peers() -> ModuleType:
    """``torchvision_peers.py`` of this folder: torchvision's models with weights that find objects."""
    path = Path(__file__).with_name("torchvision_peers.py")
    spec = importlib.util.spec_from_file_location("torchvision_peers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
