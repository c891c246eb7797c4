"""Cells on synthetic frames, and the truth of a real sequence followed without its ids."""

from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats.ctc import read
from delineate.tracking import tracker
from delineate.tracking.cells import CellsTracker, shapes
from delineate.tracking.divisions import Divisions, candidates, weigh

SIZE = (120, 160)
Disc = tuple[float, float, float]


def discs(*places: Disc, scores: tuple[float, ...] | None = None) -> Instances:
    """One disc (x, y, radius) each, none on another."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    image = np.zeros(SIZE, int)
    for k, (cx, cy, r) in enumerate(places, 1):
        image[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = k
    masks = Masks.from_label_image(image, np.arange(1, len(places) + 1))
    return Instances(SIZE, masks=masks, scores=scores)


def ids(follow: CellsTracker, *frames: Instances) -> list[list[int]]:
    return [follow.update(f).instances.ids.tolist() for f in frames]


FAR = (130, 20, 10)


def test_a_division_ends_the_mother_and_names_two_daughters() -> None:
    follow = CellsTracker()
    seen = [follow.update(discs((50, 60, 14), FAR)) for _ in range(3)]
    seen.append(follow.update(discs((39, 61, 10), (61, 59, 10), FAR)))
    seen.append(follow.update(discs((36, 61, 10), (64, 59, 10), FAR)))
    assert [t.instances.ids.tolist() for t in seen[2:]] == [[1, 2], [3, 4, 2], [3, 4, 2]]
    assert (seen[3].parents, seen[3].ended) == ({3: 1, 4: 1}, (1,))
    assert seen[4].parents == {}


@pytest.mark.parametrize(
    ("what", "later"),
    [
        ("a neighbour appears", [(50, 60, 14), (85, 60, 12)]),
        ("a crumb lies beside", [(50, 60, 13), (66, 60, 3)]),
        ("two cells too far away", [(20, 20, 10), (95, 100, 10)]),
        ("two cells too large", [(34, 60, 15), (66, 60, 15)]),
    ],
)
def test_no_division(what: str, later: list[Disc]) -> None:
    follow = CellsTracker()
    for _ in range(3):
        follow.update(discs((50, 60, 14), FAR))
    assert follow.update(discs(*later, FAR)).parents == {}, what


def test_a_cell_cut_in_two_halves_is_less_of_a_division() -> None:
    whole, y = discs((50, 60, 16)), np.mgrid[: SIZE[0], : SIZE[1]][0]
    disc = whole.masks.dense()[0]
    halves = Instances(SIZE, masks=Masks.from_dense(np.stack((disc & (y < 60), disc & (y > 60)))))
    apart = discs((50, 49, 11), (50, 72, 11))
    worth = []
    for daughters in (halves, apart):
        covered = np.zeros((1, 2))
        i, j, shared = whole.masks.intersection_pairs(daughters.masks)
        covered[i, j] = shared
        near = np.ones((1, 2), bool)
        pairs = weigh(shapes(whole), shapes(daughters), near, covered, np.ones(1), Divisions())
        worth.append(float(pairs.worth[0]))
    assert worth[1] > worth[0] + 3


def test_a_daughter_does_not_divide_at_once() -> None:
    follow = CellsTracker()
    for _ in range(3):
        follow.update(discs((50, 60, 14), FAR))
    follow.update(discs((39, 60, 10), (61, 60, 10), FAR))
    again = follow.update(discs((39, 52, 7), (39, 68, 7), (61, 60, 10), FAR))
    assert again.parents == {}


def test_a_daughter_may_divide_later_and_never_with_divide_0() -> None:
    first, second = discs((50, 60, 14)), discs((39, 60, 10), (61, 60, 10))
    third = discs((39, 52, 7), (39, 68, 7), (61, 60, 10))
    follow = CellsTracker()
    seen = [follow.update(f) for f in (first, first, *[second] * 7, third)]
    assert len(seen[-1].parents) == 2
    never = tracker("cells", divide=0.0)
    assert not any(never.update(f).parents for f in (first, first, second, second))


def test_ids_stay_through_a_gap_and_end_after_patience() -> None:
    one, nobody = discs((50, 60, 12)), Instances.empty(SIZE)
    assert ids(CellsTracker(), one, nobody, nobody, one) == [[1], [], [], [1]]
    follow = CellsTracker()
    follow.update(one)
    assert [follow.update(nobody).ended for _ in range(5)] == [(), (), (), (1,), ()]
    assert follow.update(one).instances.ids.tolist() == [2]


def test_weak_detections_continue_tracks_and_begin_none() -> None:
    frames = [discs((50, 60, 12), scores=(0.9,)), discs((51, 60, 12), (110, 60, 12), scores=(0.2, 0.2))]
    assert ids(CellsTracker(), *frames) == [[1], [1]]


def test_boxes_without_masks_and_classes() -> None:
    classes = Labels(("a", "b"))
    boxes = np.array([[10, 10, 30, 30], [60, 60, 80, 80]], np.float32)
    frames = [Instances(SIZE, boxes=boxes + k, labels=[0, 1], classes=classes) for k in range(3)]
    swapped = Instances(SIZE, boxes=boxes[::-1] + 3, labels=[0, 1], classes=classes)
    assert ids(CellsTracker(), *frames) == [[1, 2]] * 3
    follow = CellsTracker()
    assert ids(follow, frames[0], swapped) == [[1, 2], [3, 4]]


def test_the_step_is_learned() -> None:
    still, fast = CellsTracker(), CellsTracker()
    for k in range(12):
        still.update(discs((30, 30, 10), (90, 80, 10)))
        fast.update(discs((25 + 8 * (k % 2), 30, 10), (90 + 8 * (k % 2), 80, 10)))
    assert still.step < 0.35 < fast.step


def test_the_same_frames_give_the_same_ids() -> None:
    rng = np.random.default_rng(0)
    frames = [discs(*[(*rng.uniform(15, 105, 2), 9) for _ in range(6)]) for _ in range(6)]
    first, second = (ids(CellsTracker(), *frames) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("settings", [{"step": 0.0}, {"vanish": 0.9}, {"patience": -1}, {"speed": 1}])
def test_settings_that_cannot_be(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="correct"):
        tracker("cells", **settings)


def test_no_candidates_without_two_near() -> None:
    assert [len(a) for a in candidates(np.zeros((0, 0), bool))] == [0, 0, 0]
    assert [len(a) for a in candidates(np.eye(3, dtype=bool))] == [0, 0, 0]


@pytest.mark.parametrize("every", [1, 3])
def test_true_outlines_of_a_real_sequence_get_their_true_links(data_dir: Path, every: int) -> None:
    """The first 22 frames; with every third one cells move by a fifth of their width."""
    truth = read(data_dir / "ctc/Fluo-N2DH-SIM+/01_GT")
    parent = {row[0]: row[3] for row in truth.lineage.rows()}
    follow, before, wrong, families = CellsTracker(), {}, 0, set()
    for t in range(0, 22, every):
        objects = truth[t].objects
        result = follow.update(objects.replace(ids=None))
        true = dict(zip(result.instances.ids.tolist(), objects.ids[result.index].tolist(), strict=True))
        wrong += sum(before[i] != own for i, own in true.items() if i in before)
        families |= {(true[c], before[p]) for c, p in result.parents.items()}
        before = true
    assert wrong <= 1  # one mother has a single daughter: she is taken to live on
    assert len(families) == 22
    assert all(parent[child] == mother for child, mother in families)
