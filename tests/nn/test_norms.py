import pytest
import timm
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d as Theirs

from delineate.nn.layers import ConvNorm
from delineate.nn.norms import FrozenBatchNorm2d, fold_norms, folded, freeze_batch_norm


def shaken(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if ("running" in name or ".bn" in name or "norm" in name) and value.is_floating_point():
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_frozen_equal_to_torchvision(eps):
    ours, theirs = FrozenBatchNorm2d(5, eps), Theirs(5, eps)
    state = {k: torch.rand(5) + 0.1 for k in ours.state_dict()}
    ours.load_state_dict(state)
    theirs.load_state_dict(state)
    x = torch.randn(2, 5, 3, 3)
    assert torch.equal(ours(x), theirs(x))


def test_freeze_keeps_the_output_and_stops_learning():
    model = shaken(timm.create_model("resnet18", features_only=True))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model(x)
        freeze_batch_norm(model)
        after = model.train()(x)  # training mode changes nothing
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_freeze_of_a_bare_norm_gives_its_replacement():
    assert freeze_batch_norm(nn.BatchNorm2d(3, eps=0.1)).eps == 0.1
    assert freeze_batch_norm(nn.BatchNorm2d(3), eps=0.0).eps == 0.0


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_folded_convolution(bias, groups):
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups, bias=bias)
    norm = shaken(nn.Sequential(nn.BatchNorm2d(6)))[0]
    x = torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(folded(conv, norm)(x), norm(conv(x)), rtol=1e-5, atol=1e-5)


def test_folded_refuses_other_norms():
    with pytest.raises(TypeError, match="GroupNorm"):
        folded(nn.Conv2d(2, 2, 1), nn.GroupNorm(1, 2))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet26d", "seresnet18"])
def test_fold_norms_of_residual_networks(name):
    model = shaken(timm.create_model(name, features_only=True))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model(x)
        assert fold_norms(model) > 15
        after = model(x)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_fold_norms_leaves_what_it_does_not_know():
    class Reversed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.conv1(self.bn1(x))

    model = nn.ModuleList(
        [Reversed(), ConvNorm(3, 3, 3, "group"), nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())]
    )
    assert fold_norms(model) == 0
    assert fold_norms(nn.Sequential(ConvNorm(3, 3, 3, "batch"))) == 1
