"""The recipe of a training: dataclasses with a sentence per setting, read from a TOML file.

Augmentation's settings stand beside what they configure, in :mod:`delineate.data.augment`.
"""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError
from delineate.data.augment import Augment
from delineate.data.formats.json_file import load_json, show

from .dataclass_from_table import expand, from_table


@dataclass(frozen=True)
class Data:
    """Where the images and their objects come from.

    Attributes:
        path: a dataset as `delineate.open_dataset` reads it; ``${NAME}`` stands for an environment variable.
        train_split: the split that is trained on.
        val_split: the split that is evaluated on; empty evaluates nothing.
        cache: keep the decoded training images in memory (workers share them where processes are forked).
    """

    path: str = ""
    train_split: str = "train"
    val_split: str = "val"
    cache: bool = False


@dataclass(frozen=True)
class Model:
    """What is trained.

    Attributes:
        name: a name of the zoo, see `delineate models`.
        settings: settings of the model's builder; the class names come from the dataset.
        weights: a checkpoint to start from; tensors of another shape (other classes) keep their fresh values.
        licence: SPDX name of the licence that the trained weights are given.
    """

    name: str = "center_offset"
    settings: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Train:
    """How it is trained.

    Attributes:
        epochs: passes over ``samples_per_epoch`` images; ignored where ``steps`` is given.
        steps: optimiser steps in all; 0 leaves it to ``epochs``.
        batch_size: images per step, over all processes together.
        accumulate: parts that each process's share of a batch is computed in, one after the other, to save
            memory; their gradients are added up.
        count_first: with ``accumulate``, a pass more, without gradients, finds by how many objects or
            samples the whole batch's losses are divided, so that parts give the same gradient as one piece;
            False saves its time, about a quarter, and divides each part by its own counts.
        sync_norm: batch norms see the images of all processes, not of their own alone.
        sharded: split weights, gradients and what the optimiser keeps over the processes (FSDP2), for models
            that fit into no single GPU; on one process it changes nothing.
        lr: highest learning rate.
        backbone_lr: the backbone's learning rate as a part of ``lr``, 0..1; 0.1 where it is pretrained.
        weight_decay: of weights with two or more dimensions; norms, biases and embeddings have none.
        optimizer: "adamw", "sgd" (momentum 0.9, Nesterov), or "muon" (orthogonal steps, AdamW's rates).
        schedule: "cosine" to ``final_lr``, "step" (a tenth at 3/4 and again at 11/12), or "constant".
        final_lr: where cosine ends, as a part of ``lr``.
        warmup_steps: the rate rises linearly over so many steps first.
        clip_norm: gradients longer than this are shortened to it; 0 leaves them.
        ema: decay of the weights' moving average, which is what is evaluated and saved; 0 for none.
        amp: "off", "bf16", or "fp16" (CUDA only).
        seed: of weights, order, augmentation.
        workers: processes that augment, per training process; 0: the training process itself.
        threads: threads per training process; 0 leaves PyTorch's choice.
        samples_per_epoch: images per epoch; 0: as many as the split has.
        balance: a column of the dataset, such as "modality", whose groups are drawn more evenly; empty: none.
        balance_power: a group is drawn in proportion to (its images) ** this: 1 as it is, 0 all alike.
        evaluate_every: epochs between evaluations; the last epoch is always evaluated; 0: never.
        metric: the score that chooses the best checkpoint; empty: the report's first.
        early_stop: stop after so many evaluations without a better score; 0: never.
        checkpoint_minutes: besides each epoch's end, save after so many minutes; 0: after every step.
        max_minutes: budget of wall-clock time; the schedule reaches its end when the time is up; 0: no limit.
        log_every: steps between rows of the log.
        close_mixing: in so much of the training, 0..1, its last part, mosaic, mix-up and copy-paste are off:
            the model ends on images as they are. Counted as the schedule is: by steps, or by the clock where
            ``max_minutes`` ends it sooner.
    """

    epochs: int = 100
    steps: int = 0
    batch_size: int = 8
    accumulate: int = 1
    count_first: bool = True
    sync_norm: bool = False
    sharded: bool = False
    lr: float = 1e-3
    backbone_lr: float = 1.0
    weight_decay: float = 1e-4
    optimizer: str = "adamw"
    schedule: str = "cosine"
    final_lr: float = 0.01
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema: float = 0.999
    amp: str = "off"
    seed: int = 0
    workers: int = 0
    threads: int = 0
    samples_per_epoch: int = 0
    balance: str = ""
    balance_power: float = 0.5
    evaluate_every: int = 1
    metric: str = ""
    early_stop: int = 0
    checkpoint_minutes: float = 10.0
    max_minutes: float = 0.0
    log_every: int = 10
    close_mixing: float = 0.1

    def __post_init__(self) -> None:
        big = 10**9
        ranges = {
            "epochs": (1, big), "steps": (0, big), "batch_size": (1, 65536), "accumulate": (1, 65536),
            "lr": (1e-9, 1e3),
            "backbone_lr": (0, 1),
            "weight_decay": (0, 10), "final_lr": (0, 1), "warmup_steps": (0, big), "clip_norm": (0, big),
            "ema": (0, 0.999999), "seed": (0, 2**32 - 1), "workers": (0, 256), "threads": (0, 1024),
            "samples_per_epoch": (0, big), "balance_power": (0, 1), "evaluate_every": (0, big),
            "early_stop": (0, big), "checkpoint_minutes": (0, big), "max_minutes": (0, big),
            "log_every": (1, big), "close_mixing": (0, 1),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"train.{name}: expected {low} to {high}, got {value}; correct the recipe")
        if self.sharded and self.optimizer == "muon":
            raise InputError(
                "train.optimizer: expected 'adamw' or 'sgd' with sharded, got 'muon', which needs whole "
                "matrices; choose one of these"
            )
        if self.sharded and self.amp == "fp16":
            raise InputError(
                "train.amp: expected 'off' or 'bf16' with sharded, got 'fp16'; choose one of these"
            )
        choices = {
            "optimizer": ("adamw", "sgd", "muon"),
            "schedule": ("cosine", "step", "constant"),
            "amp": ("off", "bf16", "fp16"),
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"train.{name}: expected one of {', '.join(allowed)}, "
                    f"got {getattr(self, name)!r}; correct the recipe"
                )


@dataclass(frozen=True)
class Recipe:
    """A whole training.

    Attributes:
        data: where images come from.
        model: what is trained.
        augment: how images vary.
        train: how it is trained.
    """

    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    augment: Augment = field(default_factory=Augment)
    train: Train = field(default_factory=Train)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, which :func:`parse_recipe` reads again."""
        return dataclasses.asdict(self)

    def to_record(self) -> dict[str, Any]:
        """The same for a checkpoint that others will read: of paths only the last name."""
        plain = self.to_dict()
        plain["data"]["path"] = Path(self.data.path).name
        plain["model"]["weights"] = Path(self.model.weights).name
        return plain


def read_recipe(path: str | Path | None, changes: typing.Sequence[str | tuple[str, Any]] = ()) -> Recipe:
    """A recipe from a TOML file, with single settings changed.

    Args:
        path: the file, or the recipe.json that a training left; None starts from the defaults.
        changes: ``"table.key=value"`` each, the value as TOML writes it; a bare word is a string. Or a pair
            of ``"table.key"`` and the value itself.

    Raises:
        InputError: not readable, not TOML, an unknown key, a value of the wrong kind or out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read(Path(path))
    for change in changes:
        _apply(values, change)
    return parse_recipe(values, str(path) if path is not None else "settings")


def _read(path: Path) -> dict[str, Any]:
    """The values of a TOML file, or of a recipe.json."""
    if path.suffix == ".json":
        values = load_json(path)
        if isinstance(values, dict) and "annotations" in values:
            raise InputError(f"{path}: expected a recipe, got a COCO dataset; give it as --data")
        if not isinstance(values, dict):
            raise InputError(f"{path}: expected a table of settings, got {show(values)}; give a recipe")
        return values
    if path.suffix in (".yaml", ".yml"):
        raise InputError(f"{path}: expected a TOML recipe, got YAML by its name; write it as TOML")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: expected a readable recipe, got {error.strerror or error}; check the path"
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: expected a readable recipe, got bytes that are not UTF-8; check the path"
        ) from None
    except RecursionError:
        raise InputError(f"{path}: expected a TOML recipe, got it nested too deeply; flatten it") from None
    except ValueError as error:  # TOMLDecodeError, or a number of too many digits
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: expected a TOML recipe, got an error: {reason}; correct that line"
        ) from None


def parse_recipe(values: dict[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from nested plain values.

    Raises:
        InputError: an unknown key, a value of the wrong kind or out of range.

    Example:
        >>> parse_recipe({"train": {"lr": 0.01}}).train.lr
        0.01
        >>> parse_recipe({"train": {"leaning_rate": 0.01}})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        delineate.core.errors.InputError: recipe: train: unknown key 'leaning_rate'; ...
    """
    try:
        built = from_table(Recipe, expand(values, where), where)
    except InputError as error:  # of a dataclass that checks its own ranges: it does not know the file
        told = str(error)
        raise InputError(told if told.startswith(where) else f"{where}: {told}") from None
    assert isinstance(built, Recipe)
    return built


def _apply(values: dict[str, Any], change: str | tuple[str, Any]) -> None:
    name, value = _parsed(change) if isinstance(change, str) else change
    keys = name.strip().split(".")
    if len(keys) < 2 or not all(keys):
        raise InputError(f"--set {name}: expected table.key=value, such as train.lr=1e-3")
    table = values
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise InputError(f"--set {change}: expected {key} to be a table, got a single value")
    table[keys[-1]] = value


def _parsed(change: str) -> tuple[str, Any]:
    name, equals, text = change.partition("=")
    if not equals:
        raise InputError(f"--set {change}: expected table.key=value, such as train.lr=1e-3")
    try:
        return name, tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # not TOML: a word
        return name, text.strip()
