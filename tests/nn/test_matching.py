import pytest
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, Matcher

from delineate.nn.matching import BACKGROUND, BETWEEN, match, sample


@pytest.mark.parametrize("keep_best", [False, True])
@pytest.mark.parametrize("shape", [(5, 200), (1, 1), (3, 2)])
def test_equal_to_torchvision(shape, keep_best):
    iou = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 10).round() / 10  # with ties
    assert torch.equal(match(iou, 0.7, 0.3, keep_best), Matcher(0.7, 0.3, keep_best)(iou))


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_nothing_to_match(shape):
    assert match(torch.zeros(shape), 0.7, 0.3, keep_best=True).tolist() == [BACKGROUND] * shape[1]


def test_thresholds_belong_to_the_upper_side():
    iou = torch.tensor([[0.7, 0.3, 0.29, 0.69]])
    assert match(iou, 0.7, 0.3).tolist() == [0, BETWEEN, BACKGROUND, BETWEEN]


def test_a_tied_candidate_goes_to_the_object_it_overlaps_most():
    # object 0's best candidate overlaps object 1 more
    iou = torch.tensor([[0.2, 0.0], [0.25, 0.5]])
    assert match(iou, 0.7, 0.3, keep_best=True).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("positives", "negatives"), [(300, 900), (10, 900), (300, 20), (0, 50), (5, 0), (0, 0)]
)
def test_sample_draws_as_torchvision(positives, negatives):
    matched = torch.cat([torch.arange(positives), torch.full((negatives,), -1), torch.full((7,), -2)])
    matched = matched[torch.randperm(len(matched), generator=torch.Generator().manual_seed(1))]
    labels = (matched >= 0).float()
    labels[matched == BETWEEN] = -1
    torch.manual_seed(5)
    chosen, others = sample(matched, 256, 0.5)
    torch.manual_seed(5)
    theirs, their_others = BalancedPositiveNegativeSampler(256, 0.5)([labels])
    assert sorted(chosen.tolist()) == torch.where(theirs[0])[0].tolist()
    assert sorted(others.tolist()) == torch.where(their_others[0])[0].tolist()
