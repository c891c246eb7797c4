import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.metrics.forecast import ForecastErrors

RNG = np.random.default_rng(0)


def test_errors_are_numpys_by_hand():
    told, truth = RNG.normal(0, 3, (2, 50, 4, 2))
    errors = ForecastErrors((0.5, 1.0, 1.5, 2.0))
    errors.update(told[:20], truth[:20])
    errors.update(told[20:], truth[20:])
    found = errors.compute()
    distance = np.sqrt(((told - truth) ** 2).sum(axis=-1))
    assert found.count == 50
    assert found.ade == pytest.approx(distance.mean())
    assert found.fde == pytest.approx(distance[:, -1].mean())
    np.testing.assert_allclose(found.by_horizon, distance.mean(axis=0))
    assert found.missed == pytest.approx((distance[:, -1] > 2).mean())
    assert found.nll is None and found.inside is None


def test_uncertainty_is_scipys():
    from scipy.stats import multivariate_normal

    shape = RNG.normal(0, 1, (1500, 1, 2, 2))
    cov = shape @ shape.transpose(0, 1, 3, 2) + 0.1 * np.eye(2)
    truth = np.stack([RNG.multivariate_normal((0, 0), c[0]) for c in cov])[:, None]
    errors = ForecastErrors((1.0,))
    errors.update(np.zeros((1500, 1, 2)), truth, cov)
    found = errors.compute()
    logs = [multivariate_normal((0, 0), c[0]).logpdf(t[0]) for c, t in zip(cov, truth, strict=True)]
    assert found.nll == pytest.approx(-np.mean(logs))
    np.testing.assert_allclose(found.inside, (0.5, 0.9), atol=0.03)


def test_shards_and_nothing():
    told, truth = RNG.normal(0, 3, (2, 9, 2, 2))
    whole, one, two = (ForecastErrors((1.0, 2.0)) for _ in range(3))
    whole.update(told, truth)
    one.update(told[:4], truth[:4])
    two.update(told[4:], truth[4:])
    one.merge(two)
    assert one.compute() == whole.compute()
    empty = ForecastErrors((1.0,)).compute()
    assert empty.count == 0 and np.isnan(empty.ade)
    two.update(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)))


def test_wrong_input_is_told():
    with pytest.raises(InputError, match="ascending"):
        ForecastErrors((2.0, 1.0))
    errors = ForecastErrors((1.0,))
    with pytest.raises(InputError, match="shape"):
        errors.update(np.zeros((3, 2, 2)), np.zeros((3, 1, 2)))
    with pytest.raises(InputError, match="finite"):
        errors.update(np.zeros((1, 1, 2)), np.full((1, 1, 2), np.nan))
    with pytest.raises(InputError, match="inverted"):
        errors.update(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), np.zeros((1, 1, 2, 2)))
    with pytest.raises(InputError, match="same settings"):
        errors.merge(ForecastErrors((2.0,)))
