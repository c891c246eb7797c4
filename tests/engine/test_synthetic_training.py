"""A synthetic dataset stands wherever a dataset does: in a recipe, and as the truth of an evaluation."""

from __future__ import annotations

import pytest

from delineate.core.batch import InputSpec
from delineate.core.instances import Instances
from delineate.data.augment import Augment
from delineate.data.loader import TrainingSet
from delineate.data.sampler import Draw
from delineate.data.synthetic import SyntheticDataset
from delineate.engine import setup
from delineate.engine.config import parse_recipe
from delineate.engine.evaluate import evaluate


def test_the_truth_scores_one(crowd: SyntheticDataset) -> None:
    truths = iter([crowd.truth(i) for i in range(len(crowd))])

    def oracle(_: object) -> Instances:
        return next(truths)

    report = evaluate(oracle, crowd, by="crowding", progress=False)
    assert report.scores["mask/AP"] == report.scores["cells/AP"] == pytest.approx(1)
    assert sorted(report.groups) == ["0", "0.5", "1"]


def test_a_recipe_names_it() -> None:
    name = "synthetic:crowds?images=4&val=2&size=64&objects=5&crowding=0.2,0.8"
    recipe = parse_recipe({"data": {"path": name}, "train": {"balance": "crowding"}})
    training, validation = setup.sources(recipe)
    assert (len(training), len(validation)) == (4, 2)
    groups = setup.groups(training, recipe.train.balance)
    assert groups == ["0.2", "0.8"] * 2
    image, truth = TrainingSet(training, InputSpec(None, None), Augment(crop=48), groups=groups)[
        Draw(0, 0, 1)
    ]
    assert image.shape == (48, 48, 3) and truth.masks.size == (48, 48)
