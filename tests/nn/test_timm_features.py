import pytest
import torch

from delineate.core.errors import InputError
from delineate.nn.timm_features import timm_features


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
