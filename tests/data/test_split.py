"""Splits: shares, groups, repeatability, and that nothing is lost or doubled."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.records import Dataset, Record
from delineate.data.split import groups_of, split, write_csv

CLASSES = Labels(("common", "rare"))


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    labels = np.array(record.annotation, np.int64)
    side = np.arange(1, len(labels) + 1)[:, None]
    boxes = np.concatenate([np.zeros((len(labels), 2)), np.repeat(side, 2, 1)], axis=1)
    return Instances((50, 50), boxes=boxes, labels=labels, classes=classes), ()


def dataset(rows: list[list[int]], groups: list[dict[str, str]] | None = None) -> Dataset:
    records = [
        Record(f"s{i // 3}_{i:02}.png", Path(f"{i}.png"), i, (50, 50), row, (groups or [{}] * len(rows))[i])
        for i, row in enumerate(rows)
    ]
    return Dataset(tuple(records), CLASSES, decode, "made up", Path("made-up"))


@given(
    rows=st.lists(st.lists(st.integers(0, 1), max_size=5), min_size=3, max_size=40),
    shares=st.sampled_from([(1, 1), (8, 2), (7, 2, 1), (0.5, 0.25, 0.25)]),
    seed=st.integers(0, 3),
)
@settings(max_examples=12, deadline=None)
def test_every_image_once_and_shares_to_the_image(
    rows: list[list[int]], shares: tuple[float, ...], seed: int
) -> None:
    data = dataset(rows)
    parts = {f"part{k}": share for k, share in enumerate(shares)}
    found = split(data, parts, seed=seed)
    totals = found.totals()
    for name, share in found.parts.items():
        assert abs(totals[name]["images"] - share * len(rows)) <= 1
    assert sum(row["objects"] for row in totals.values()) == sum(map(len, rows))
    assert sum(row["images"] for row in totals.values()) == len(rows)
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    again = split(data.subset(order), parts, seed=seed)
    assert [found.assigned[i] for i in order] == list(again.assigned)


@given(
    sizes=st.lists(st.integers(1, 6), min_size=4, max_size=15),
    share=st.sampled_from([0.5, 0.8]),
    seed=st.integers(0, 3),
)
@settings(max_examples=12, deadline=None)
def test_groups_stay_whole(sizes: list[int], share: float, seed: int) -> None:
    group = [f"g{k}" for k, size in enumerate(sizes) for _ in range(size)]
    data = dataset([[0]] * len(group))
    found = split(data, {"train": share, "val": 1 - share}, seed=seed, group=group)
    where: dict[str, set[str]] = {}
    for name, part in zip(group, found.assigned, strict=True):
        where.setdefault(name, set()).add(part)
    assert all(len(parts) == 1 for parts in where.values())
    got = found.totals()["val"]["images"]
    assert abs(got - (1 - share) * len(group)) <= max(sizes)


def test_rare_things_reach_every_part() -> None:
    rows = [[0, 0]] * 90 + [[0, 1]] * 10
    for seed in range(5):
        totals = split(dataset(rows), {"train": 0.8, "val": 0.2}, seed=seed).totals()
        assert totals["val"]["class: rare"] == 2 and totals["val"]["images with rare"] == 2


def test_a_random_split_is_further_from_the_shares() -> None:
    draw = np.random.default_rng(0)
    rows = [[1] * draw.poisson(0.4) + [0] * draw.poisson(6) for _ in range(120)]
    found = split(dataset(rows), {"train": 0.8, "val": 0.2})
    ours = abs(found.totals()["val"]["class: rare"] / sum(map(sum, rows)) - 0.2)
    random = []
    for _ in range(50):
        val = draw.permutation(120)[:24]
        random.append(abs(sum(sum(rows[i]) for i in val) / sum(map(sum, rows)) - 0.2))
    assert ours <= np.quantile(random, 0.2) and abs(found.deviation[2]) < 0.02


def test_balanced_columns_and_kept_splits() -> None:
    groups = [{"lab": "a" if i % 4 else "b", "split": "test" if i < 10 else "train"} for i in range(50)]
    data = dataset([[0]] * 50, groups)
    found = split(data, {"train": 3, "val": 1}, balance=["lab"], keep=["test"])
    assert found.assigned[:10] == ("test",) * 10 and "test" not in found.assigned[10:]
    totals = found.totals()
    assert (totals["val"]["images"], totals["train"]["images"], totals["test"]["images"]) == (10, 30, 10)
    assert totals["val"]["lab: b"] in (2, 3)
    whole = split(data, {"train": 0.6, "val": 0.2, "test": 0.2}, keep=["test"])
    assert whole.totals()["test"]["images"] == 10 and set(whole.assigned[:10]) == {"test"}
    back = found.apply(data)
    assert back.select(split="val").names == [
        n for n, a in zip(data.names, found.assigned, strict=True) if a == "val"
    ]


def test_groups_by_pattern_and_column(tmp_path: Path) -> None:
    data = dataset([[0]] * 9, [{"patient": "p1" if i < 4 else ""} for i in range(9)])
    assert groups_of(data, pattern=r"^(s\d+)_")[0] == ["s0"] * 3 + ["s1"] * 3 + ["s2"] * 3
    assert groups_of(data, pattern=r"s0")[0][:4] == ["s0"] * 3 + ["s1_03.png"]
    names, alone = groups_of(data, column="patient")
    assert names[:5] == ["p1"] * 4 + ["s1_04.png"] and alone == 5
    found = split(data, {"train": 2, "val": 1}, group=groups_of(data, pattern=r"^(s\d+)_")[0])
    with write_csv(tmp_path / "split.csv", found.apply(data), found.group).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == data.names and list(rows[0]) == ["id", "patient", "split", "group"]
    assert len({row["group"] for row in rows if row["split"] == "val"}) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"parts": {}}, "a share above 0"),
        ({"parts": {"train": 1, "val": 0}}, "a share above 0"),
        ({"parts": {"val": 1, "valid": 1}}, "every part once"),
        ({"balance": ["lab"]}, "a column 'lab' to balance, got no columns"),
        ({"keep": ["test"]}, "the split 'test' to keep, got no splits"),
        ({"group": ["a"] * 4}, "at least 2 groups"),
        ({"group": ["a"]}, "4 group names"),
    ],
)
def test_wrong_settings(given: dict[str, object], told: str) -> None:
    settings = {"parts": {"train": 1, "val": 1}, **given}
    with pytest.raises(InputError, match=re.escape(told)):
        split(dataset([[0]] * 4), **settings)  # type: ignore[arg-type]


def test_nothing_to_share_out_and_no_such_group() -> None:
    with pytest.raises(InputError, match="got none"):
        split(dataset([]), {"train": 1, "val": 1})
    with pytest.raises(InputError, match="a regular expression, got an error"):
        groups_of(dataset([[0]]), pattern="(")
    with pytest.raises(InputError, match="to group by, got no columns"):
        groups_of(dataset([[0]]), column="patient")
    one = split(dataset([[0]]), {"train": 1.0})
    assert one.assigned == ("train",) and one.deviation == ("", "", 0.0)
