"""A synthetic dataset stands wherever a dataset does: in a recipe, and as the truth of an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from delineate.core.instances import Instances
from delineate.data.synthetic import SyntheticDataset
from delineate.engine.config import parse_recipe
from delineate.engine.evaluate import evaluate
from delineate.engine.train import train


def test_the_truth_scores_one(crowd: SyntheticDataset) -> None:
    truths = iter([crowd.truth(i) for i in range(len(crowd))])

    def oracle(_: object) -> Instances:
        return next(truths)

    report = evaluate(oracle, crowd, by="crowding", progress=False)
    assert report.scores["mask/AP"] == report.scores["cells/AP"] == pytest.approx(1)
    assert sorted(report.groups) == ["0", "0.5", "1"]


def test_a_recipe_names_it(tmp_path: Path) -> None:
    name = "synthetic:crowds?images=4&size=64&objects=5&crowding=0.2,0.8"
    recipe = parse_recipe(
        {
            "data": {"path": name},
            "model": {"name": "center_offset", "settings": {"channels": [4, 4, 4, 4, 4]}},
            "augment": {"crop": 64},
            "train": {
                "steps": 2,
                "batch_size": 2,
                "warmup_steps": 0,
                "balance": "crowding",
                "threads": 1,
                "evaluate_every": 0,
            },
        }
    )
    result = train(recipe, tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "last.safetensors").is_file(), result
