"""The query transformers, small: they learn, a checkpoint forgets nothing, empty things are no trouble."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.enlarge import resize_matrix
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.engine.checkpoint import restore, save
from delineate.models.queries.mask2former import Mask2Former
from delineate.models.zoo import build

PLAIN = InputSpec(shortest_edge=None, longest_edge=None, mean=(0.5,) * 3, std=(0.25,) * 3)
SMALL = {
    "backbone": "resnet10t", "queries": 8, "encoder_layers": 1, "decoder_layers": 3, "channels": 64,
    "encoder_hidden": 64, "decoder_hidden": 64, "points": 256, "frozen_norms": False,
}  # fmt: skip


MORE = {
    "mask2former": {},
    "maskdino": {"denoising": 12},
    "dimaskdino": {"denoising": 12, "selected": 12, "guides": 4},
}  # fmt: skip
families = pytest.mark.parametrize("family", list(MORE))


def _small(family: str) -> Mask2Former:
    torch.manual_seed(0)
    model = build(family, classes=Labels(("disc", "bar")), input=PLAIN, **SMALL, **MORE[family])
    assert isinstance(model, Mask2Former)
    return model


def _scene() -> tuple[np.ndarray, Instances]:
    """A disc and a bar on grey, 64 x 96."""
    y, x = np.mgrid[:64, :96]
    disc = (y - 20) ** 2 + (x - 24) ** 2 < 150
    bar = (abs(y - 44) < 6) & (abs(x - 64) < 24)
    image = np.full((64, 96, 3), 60, np.uint8)
    image[disc] = (220, 40, 40)
    image[bar] = (40, 200, 240)
    masks = Masks.from_dense(np.stack([disc, bar]))
    return image, Instances((64, 96), masks=masks, labels=[0, 1], classes=Labels(("disc", "bar")))


@families
def test_it_learns_two_objects(family: str) -> None:
    model, (image, truth) = _small(family), _scene()
    batch = collate([image], PLAIN, [truth])
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    model.train()
    for _ in range(60):
        loss = sum(model.losses(batch).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    found = model.detect(batch, confidence=0.05)[0]
    for label in (0, 1):
        best = found[found.labels == label][0]  # best first
        assert best.masks.iou(truth.masks)[0, label] > 0.8


@families
def test_a_checkpoint_gives_the_same_objects(tmp_path: Path, family: str) -> None:
    model, (image, _) = _small(family).eval(), _scene()
    again = restore(save(tmp_path / "m.safetensors", model, record={}))
    batch = collate([image], PLAIN)
    with torch.inference_mode():
        for ours, theirs in zip(model(batch.images), again.eval()(batch.images), strict=True):
            assert (ours is theirs is None) or torch.equal(ours, theirs)


@families
def test_prepared_detects_the_same(family: str) -> None:
    model, (image, _) = _small(family).eval(), _scene()
    batch = collate([image], PLAIN)
    with torch.inference_mode():
        for ours, theirs in zip(model(batch.images), model.prepared()(batch.images), strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


@families
def test_an_image_without_objects_teaches_background(family: str) -> None:
    model, (image, truth) = _small(family), _scene()
    batch = collate([image, image], PLAIN, [truth[:0], truth])
    losses = model.losses(batch)
    assert all(torch.isfinite(value) for value in losses.values())
    nothing = model.losses(collate([image], PLAIN, [truth[:0]]))
    assert nothing["mask"].item() == nothing["dice"].item() == 0
    sum(nothing.values()).backward()


@families
def test_limits(family: str) -> None:
    model, (image, _) = _small(family).eval(), _scene()
    batch = collate([image], PLAIN)
    assert len(model.detect(batch, max_det=3)[0]) <= 3
    assert len(model.detect(batch, confidence=1.0)[0]) == 0
    with pytest.raises(ValueError, match="targets"):
        model.losses(Batch(batch.images, batch.sizes, batch.originals))


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 7), (5, 20), (20, 5), (7, 13)])
def test_the_matrix_resizes_as_torch_does(old: int, new: int) -> None:
    line = np.random.default_rng(0).normal(size=old).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(line)[None, None], size=new, mode="linear", align_corners=False
    )
    np.testing.assert_allclose(resize_matrix(old, new) @ line, theirs[0, 0], atol=1e-5)


@pytest.mark.parametrize("family", ["maskdino", "dimaskdino"])
def test_an_image_with_fewer_cells_than_queries(family: str) -> None:
    torch.manual_seed(0)
    settings = SMALL | {"queries": 300}
    more = {"selected": 600, "guides": 50} if family == "dimaskdino" else {}
    model = build(family, classes=Labels(("disc", "bar")), input=PLAIN, **settings, **more).eval()
    image = np.zeros((32, 32, 3), np.uint8)  # 16 + 4 + 1 + 1 cells
    assert model.detect(collate([image], PLAIN))[0].size == (32, 32)


@families
def test_checkpointing_changes_no_gradient(family: str) -> None:
    image, truth = _scene()
    batch = collate([image], PLAIN, [truth])
    settings = SMALL | MORE[family] | {"frozen_norms": True, "classes": Labels(("disc", "bar"))}
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = build(family, input=PLAIN, **settings, checkpointing=checkpointing)
        assert model.settings["checkpointing"] is checkpointing
        model.train()
        torch.manual_seed(1)
        sum(model.losses(batch).values()).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@pytest.mark.parametrize("family", ["maskdino", "dimaskdino"])
def test_new_networks_expect_nothing_anywhere(family: str) -> None:
    model = _small(family)
    with torch.inference_mode():
        chances = model.decoder.to_classes(torch.zeros(1, model.decoder.to_classes.in_features)).sigmoid()
    torch.testing.assert_close(chances, torch.full_like(chances, 0.01))
