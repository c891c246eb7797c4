import pytest
import timm
import torch

from delineate.core.errors import InputError
from delineate.nn.timm_features import normalisation, timm_features


def test_maps_of_the_strides_asked_for():
    body = timm_features("resnet18", (8, 32))
    assert body.feature_info.channels() == [128, 512]
    assert [tuple(x.shape) for x in body(torch.zeros(1, 3, 64, 32))] == [(1, 128, 8, 4), (1, 512, 2, 1)]


@pytest.mark.parametrize(
    ("name", "strides", "message"),
    [("no_such_net", (8,), "expected a timm model"), ("resnet18", (8, 64), "expected features of strides")],
)
def test_refuses_others(name, strides, message):
    with pytest.raises(InputError, match=message):
        timm_features(name, strides)


def test_no_download_offline(monkeypatch):
    monkeypatch.setenv("DELINEATE_OFFLINE", "1")
    with pytest.raises(InputError, match="expected no download"):
        timm_features("resnet18", (8,), pretrained=True)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("convnext_atto", [40, 80, 160, 320]),
        ("swin_tiny_patch4_window7_224", [96, 192, 384, 768]),
        ("vit_tiny_patch16_224", [256] * 4),
        ("deit_tiny_patch16_224", [256] * 4),
    ],
)
def test_any_backbone_and_any_size(name, channels):
    body = timm_features(name, (4, 8, 16, 32)).eval()
    assert body.feature_info.channels() == channels
    with torch.inference_mode():
        maps = body(torch.randn(2, 3, 64, 96))
    shapes = [(2, c, 64 // s, 96 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)]
    assert [tuple(x.shape) for x in maps] == shapes


def test_some_of_a_swins_stages():
    body = timm_features("swin_tiny_patch4_window7_224", (8, 16))
    assert body.feature_info.channels() == [192, 384] and len(body.layers) == 3
    assert [tuple(x.shape) for x in body(torch.zeros(1, 3, 32, 32))] == [(1, 192, 4, 4), (1, 384, 2, 2)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_small_patch14_dinov2", "its maps have the strides"),
        ("swinv2_tiny_window8_256", "channels last"),
    ],
)
def test_what_cannot_give_maps_is_told(name, message):
    with pytest.raises(InputError, match=message) as caught:
        timm_features(name, (4, 8, 16, 32))
    assert "\n" not in str(caught.value)


def test_weights_that_cannot_be_had_are_told_in_one_line(monkeypatch):
    make = timm.create_model

    def without_network(name, pretrained=False, **options):
        if pretrained:
            raise OSError("no route to host\nand a long story")
        return make(name, pretrained=pretrained, **options)

    monkeypatch.delenv("DELINEATE_OFFLINE", raising=False)
    monkeypatch.setattr(timm, "create_model", without_network)
    with pytest.raises(
        InputError, match=r"expected timm's pretrained weights, got none \(no route"
    ) as caught:
        timm_features("resnet18", (8,), pretrained=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no_such_net", "resnet18.no_such_weights"])
def test_no_normalisation_without_weights(name):
    with pytest.raises(InputError, match="expected one with pretrained weights in timm") as caught:
        normalisation(name)
    assert "\n" not in str(caught.value)
