import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.engine.label_queue import (
    STRATEGIES,
    ImageScore,
    disagreement,
    look_at,
    order,
    pooled,
    uncertainty,
)


def found(dense, scores=None):
    return Instances(dense.shape, masks=Masks.from_label_image(dense), scores=scores)


def two(shift=0):
    dense = np.zeros((30, 40), int)
    dense[4:12, 3 + shift : 12 + shift] = 1
    dense[15:28, 20:35] = 2
    return dense


def score(unsure, at_odds, features):
    features = np.array(features, np.float32)
    return ImageScore(unsure, at_odds, features / np.linalg.norm(features), 3)


def test_uncertainty_is_the_mean_entropy():
    assert uncertainty(found(two(), [0.5, 1.0])) == pytest.approx(0.5, abs=1e-4)
    assert uncertainty(Instances.empty((4, 4))) == 1.0


def test_disagreement_with_the_mirror_image():
    assert disagreement(found(two()), found(two()[:, ::-1])) == pytest.approx(0)
    assert disagreement(found(two()), Instances.empty((30, 40))) == 1.0
    assert disagreement(Instances.empty((30, 40)), Instances.empty((30, 40))) == 0.0
    assert 0 < disagreement(found(two()), found(two(shift=1)[:, ::-1])) < 0.5


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 5)), max_size=12),
    strategy=st.sampled_from(STRATEGIES), labelled=st.integers(0, 3),
)  # fmt: skip
def test_every_image_stands_in_the_order_once(rows, strategy, labelled):
    rng = np.random.default_rng(0)
    scores = [score(u, d, 1 + np.eye(6)[k]) for u, d, k in rows]
    known = [s / np.linalg.norm(s) for s in rng.random((labelled, 6)).astype(np.float32)]
    ranked = order(scores, known, strategy)
    assert sorted(i for i, _ in ranked) == list(range(len(rows))) and all(why for _, why in ranked)


def test_each_strategy_takes_what_it_is_named_for():
    scores = [score(0.9, 0.1, [1, 0, 0]), score(0.2, 0.8, [1, 0.1, 0]), score(0.1, 0.1, [0, 0, 1])]
    near = [np.array([1, 0, 0], np.float32)]
    first = {name: order(scores, near, name)[0][0] for name in STRATEGIES}
    assert (first["uncertainty"], first["disagreement"], first["diversity"]) == (0, 1, 2)
    assert order(scores, near, "random", 1) == order(scores, near, "random", 1)
    with pytest.raises(InputError, match="one of coverage"):
        order(scores, near, "luck")


def test_coverage_takes_what_stands_for_most_and_mixed_prefers_the_doubtful_of_these():
    """Ten images alike, two of another kind, one odd; one of the ten is labelled."""
    kinds = [[1, 0.01 * k, 0, 0] for k in range(10)] + [[0, 1, 0.01, 0], [0, 1, 0, 0]] + [[0, 0, 0, 1]]
    known = [score(0, 0, kinds[0]).features]
    scores = [score(0.1 if k == 10 else 0.9, 0.1, kind) for k, kind in enumerate(kinds)][1:]
    covered = [i + 1 for i, _ in order(scores, known, "coverage")]
    assert set(covered[:2]) & {10, 11} and covered[1] == 12 and covered[0] != 12
    assert 1 + order(scores, known, "mixed")[0][0] == 11
    assert 1 + order(scores, known, "diversity")[0][0] in (10, 11, 12)


def test_coverage_brings_every_image_nearest_of_all_single_choices():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(40, 5))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = [score(0.5, 0.5, f) for f in features]
    distance = np.linalg.norm(features[:, None] - features, axis=2)
    first = order(scores, [], "coverage")[0][0]
    assert first == int(distance.sum(axis=1).argmin())  # the medoid


def test_images_are_looked_at_and_like_ones_have_like_features():
    rng = np.random.default_rng(0)
    bright = rng.integers(100, 255, (60, 90), dtype=np.uint8)
    again = rng.integers(100, 255, (60, 90), dtype=np.uint8)
    smooth = np.tile(np.linspace(0, 255, 90).astype(np.uint8), (60, 1))
    a, b, c = pooled(bright), pooled(again), pooled(smooth)
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-5) and a @ b > a @ c

    def predict(image):
        return found((image > 200).astype(int), [0.5])

    seen = look_at(bright, predict, pooled)
    assert (
        seen.uncertainty == pytest.approx(1) and seen.disagreement == pytest.approx(0) and seen.objects == 1
    )
