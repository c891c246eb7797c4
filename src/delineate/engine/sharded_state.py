"""The state of a training that is split over its processes: each writes its part, all read what they need.

``last.state/STEP/`` holds safetensors files, a few per process, written by `torch.distributed.checkpoint` in
its safetensors form; its own form keeps a pickle beside them, which runs whatever it holds when it is read.
``last.state.json`` names the step whose files are whole; it is written last. A training goes on from them on
any number of processes.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load as load_parts
from torch.distributed.checkpoint.state_dict_saver import save as save_parts

from delineate.core.errors import CheckpointError

from .atomic import write_atomically
from .processes import Processes
from .state import FORMAT, POINTER, State

PARTS = "last.state"


def save_sharded(state: State, folder: Path, processes: Processes) -> None:
    """Write the state; a kill at any moment leaves the one before. Every process must call it.

    Args:
        state: of a training that is split.
        folder: of the training.
        processes: who takes part.
    """
    place = folder / PARTS / f"{state.step}"
    if processes.first:
        shutil.rmtree(place, ignore_errors=True)  # of a training that was killed while it wrote
        place.mkdir(parents=True)
    processes.gather(None)
    writer = HuggingFaceStorageWriter(str(place), save_distributed=True)
    save_parts(tensors_of(state), storage_writer=writer)
    processes.gather(None)
    if processes.first:
        content = {"format": FORMAT, "updates": state.average.updates, **state.figures()}
        text = json.dumps(content, indent=1).encode()
        write_atomically(folder / POINTER, lambda file: file.write(text))
        for old in (folder / PARTS).iterdir():
            if old != place:
                shutil.rmtree(old, ignore_errors=True)


def load_sharded(state: State, folder: Path, processes: Processes) -> None:
    """Take up what :func:`save_sharded` wrote, on as many processes as there are now.

    Raises:
        CheckpointError: missing, damaged, or of another model or optimiser.
    """
    path = folder / POINTER
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise CheckpointError(f"{path}: expected format {FORMAT}, got {content['format']}; train anew")
        place = folder / PARTS / f"{int(content['step'])}"
        reader = HuggingFaceStorageReader(str(place))
        stored = {name: size.size for name, size in reader.read_metadata().state_dict_metadata.items()}  # type: ignore[union-attr]
        make_room(state, stored)
        wanted = tensors_of(state)
        shapes = {name: tensor.shape for name, tensor in wanted.items()}
        if shapes != stored:
            name = next(iter({*shapes.items()} ^ {*stored.items()}))[0]
            raise CheckpointError(
                f"{place}: expected the tensors of this training, got others ({name}); resume with its recipe"
            )
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="torch.distributed is disabled"
            )  # one process reads all
            load_parts(wanted, storage_reader=reader, no_dist=processes.world == 1)
        state.average.updates = int(content["updates"])
        state.take_figures(content)
    except CheckpointError:
        raise
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0][:120]
        raise CheckpointError(
            f"{path}: expected the state of a split training, got none that can be read ({reason}); "
            "resume another folder, or train anew"
        ) from None


def tensors_of(state: State) -> dict[str, Tensor]:
    """Model, average and what the optimiser keeps, by name; parts of split tensors know their place."""
    names = {id(p): name for name, p in state.model.named_parameters()}
    kept = {
        f"optimizer.{names[id(p)]}.{key}": value
        for p, values in state.optimizer.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }
    model = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    return model | {f"average.{name}": value for name, value in state.average.tensors().items()} | kept


def make_room(state: State, stored: Mapping[str, torch.Size]) -> None:
    """Empty tensors in the optimiser for what a stored one kept."""
    for name, p in state.model.named_parameters():
        start = f"optimizer.{name}."
        for key in [
            k.removeprefix(start) for k in stored if k.startswith(start) and "." not in k[len(start) :]
        ]:
            shape = stored[start + key]
            state.optimizer.state[p][key] = (
                torch.zeros_like(p, memory_format=torch.preserve_format)
                if shape == p.shape and len(shape)
                else torch.zeros(shape)
            )
