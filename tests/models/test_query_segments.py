from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from delineate.core.batch import Batch
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.models.base import Segmenter
from delineate.models.queries import segments
from delineate.models.queries.decoder import Prediction
from delineate.models.queries.mask2former import Mask2Former
from delineate.models.queries.maskdino import MaskDINO
from delineate.models.queries.segments import Ranking, panoptic_of, semantic_of

CLASSES = Labels(("person", "car", "grass", "sky"), things=(True, True, False, False))
PADDED, INNER = (64, 96), (60, 90)


def scene(original: tuple[int, int], queries: int = 12, seed: int = 0) -> tuple[Prediction, Batch]:
    """Queries that look for smooth random blobs, on the second of two images."""
    torch.manual_seed(seed)
    coarse = torch.randn(2, 6, 4, 6)
    features = F.interpolate(coarse, size=(16, 24), mode="bicubic", align_corners=False)
    prediction = Prediction(torch.randn(2, queries, 5) * 3, torch.randn(2, queries, 6) * 3, features)
    return prediction, Batch(torch.zeros(2, 3, *PADDED), [PADDED, INNER], [PADDED, original])


def enlarged(prediction: Prediction, original: tuple[int, int]) -> Tensor:
    """(Q, H, W) mask probabilities of the second image, all at once, as the originals make them."""
    whole = F.interpolate(prediction.masks()[1:], size=PADDED, mode="bilinear", align_corners=False)
    cut = whole[:, :, : INNER[0], : INNER[1]]
    return F.interpolate(cut, size=original, mode="bilinear", align_corners=False)[0].sigmoid()


def expected_segments(
    score: Tensor, label: Tensor, masks: Tensor, visible: float
) -> tuple[np.ndarray, list[int]]:
    """The papers' rule, one query at a time."""
    result = np.zeros(masks.shape[1:], dtype=np.int64)
    labels: list[int] = []
    if not len(masks):
        return result, labels
    best = (score[:, None, None] * masks).argmax(0)
    for k, mask in enumerate(masks):
        mine = (best == k) & (mask >= 0.5)
        if not mine.any() or (best == k).sum().item() / (mask >= 0.5).sum().item() < visible:
            continue
        kind = int(label[k])
        if kind >= 2 and kind in labels:
            result[mine.numpy()] = labels.index(kind) + 1
        else:
            labels.append(kind)
            result[mine.numpy()] = len(labels)
    return result, labels


@pytest.mark.parametrize("original", [INNER, (33, 50), (121, 200)])
@pytest.mark.parametrize("seed", range(4))
def test_segments_as_the_papers_make_them(
    original: tuple[int, int], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "AT_ONCE", 12 * 50 * 7)  # many strips
    prediction, batch = scene(original, seed=seed)
    chances = prediction.classes[..., :4].softmax(2)
    ranking = Ranking(chances, chances.amax(2))
    for confidence, visible in ((0.5, 0.1), (0.3, 0.5), (0.999, 0.8)):
        found = panoptic_of(ranking, prediction, batch, 1, CLASSES, confidence, visible)
        kept = ranking.sure[1] > confidence
        score, label = chances[1][kept].max(1)
        wanted, labels = expected_segments(score, label, enlarged(prediction, original)[kept], visible)
        assert found.labels.tolist() == labels
        assert (found.map != wanted).mean() < 1e-3  # pixels whose probability is one half but for rounding
        assert found.size == original


@pytest.mark.parametrize("original", [(33, 50), (121, 200)])
def test_classes_as_the_papers_make_them(original: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "AT_ONCE", 16 * 50 * 7)
    prediction, batch = scene(original)
    shares = prediction.classes.softmax(2)[..., :-1]
    found = semantic_of(shares[1], prediction, batch, 1, CLASSES)
    votes = torch.einsum("qc,qhw->chw", shares[1], enlarged(prediction, original))
    assert (found.map != votes.argmax(0).numpy()).mean() < 1e-3
    assert found.void == 0


def test_no_sure_query_leaves_all_void() -> None:
    prediction, batch = scene((20, 30))
    ranking = Ranking(prediction.classes[..., :4].softmax(2), torch.zeros(2, 12))
    found = panoptic_of(ranking, prediction, batch, 1, CLASSES, 0.5, 0.8)
    assert len(found) == 0 and found.void == 600


def test_how_queries_compete() -> None:
    none: Any = None
    logits = torch.tensor([[[4.0, 1.0, 0.0], [0.0, 1.0, 4.0]]])
    masked = Mask2Former.ranking(none, logits)
    torch.testing.assert_close(masked.shares, logits.softmax(2)[..., :-1])
    assert masked.sure[0, 0] == logits.softmax(2)[0, 0, 0] and masked.sure[0, 1] == 0  # "no object" wins
    boxed = MaskDINO.ranking(none, logits)
    torch.testing.assert_close(boxed.sure, logits.sigmoid().amax(2))
    torch.testing.assert_close(boxed.shares, (logits.sigmoid() / 0.06).softmax(2))


def test_other_families_say_who_can() -> None:
    model = Segmenter()
    model.family = "yolact"
    empty = Batch(torch.zeros(0, 3, 4, 4), [], [])
    for task in (model.semantic, model.panoptic):
        with pytest.raises(
            InputError, match=r"expected a model such as .*panoptic_fpn, mask2former, .*got yolact"
        ):
            task(None, empty)
