"""Checkpoint: everything a killed training needs to go on as if nothing had happened, in one safetensors file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalsem._values import whole_file
from causalsem.errors import FileError, NotInstalledError

if TYPE_CHECKING:
    import torch

    from causalsem.outcome.optimiser import Optimiser
    from causalsem.outcome.train import Progress

Tensors = dict[str, "torch.Tensor"]


@dataclass
class Checkpoint:
    """The state of one stage of a fit; without a `path` it remembers nothing.

    `fingerprint` names data and settings, so that a file of another fit is refused. `found` holds what the file had
    when the fit began; `carried` are finished results of earlier stages that travel along.
    """

    path: Path | None
    fingerprint: str
    stage: str
    carried: Tensors
    found: tuple[dict[str, Any], Tensors] | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None, fingerprint: str) -> Checkpoint:
        """Return the checkpoint at `path`, with what it holds if there is a file; raises FileError if it is of another fit."""
        place = None if path is None else Path(path)
        found = None
        if place is not None and place.is_dir():
            raise FileError(f"the checkpoint {place} is a folder; name a file in it", path=place)
        if place is not None and place.exists():
            about, tensors = read_tensors(place)
            if about.get("fingerprint") != fingerprint:
                raise FileError(
                    f"the checkpoint {place} belongs to another fit (data or settings differ); delete it or choose another path", path=place
                )
            found = (about, tensors)
        carried = {} if found is None else named(found[1], "carried")
        return cls(place, fingerprint, "", carried, found)

    def restore(self, net: torch.nn.Module, optimiser: Optimiser, rng: torch.Generator, best: Tensors, state: Progress) -> None:
        """Put net, optimiser, generator, best weights and progress back where this stage was left, if it was."""
        if self.found is None or self.found[0]["stage"] != self.stage:
            return
        about, tensors = self.found
        net.load_state_dict(named(tensors, "net"))
        for name, tensor in named(tensors, "best").items():
            best[name].copy_(tensor)
        rng.set_state(tensors["rng"].cpu())
        optimiser.load(named(tensors, "optimiser"))
        state.epoch, state.best = about["epoch"], about["best"]
        state.history[:] = [(a, b) for a, b in about["history"]]

    def save(self, net: torch.nn.Module, optimiser: Optimiser, rng: torch.Generator, best: Tensors, state: Progress) -> None:
        """Write the state after an epoch, whole or not at all."""
        if self.path is None:
            return
        tensors = {f"net.{k}": v for k, v in net.state_dict().items()} | {f"best.{k}": v for k, v in best.items()}
        tensors |= {f"optimiser.{k}": v for k, v in optimiser.tensors().items()}
        tensors |= {f"carried.{k}": v for k, v in self.carried.items()} | {"rng": rng.get_state()}
        about = {"fingerprint": self.fingerprint, "stage": self.stage, "epoch": state.epoch, "best": state.best, "history": state.history}
        write_tensors(self.path, about, tensors)

    def remove(self) -> None:
        """Delete the file: the fit is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def write_tensors(path: str | os.PathLike[str], about: dict[str, Any], tensors: Tensors) -> None:
    """Write tensors and a JSON header as one safetensors file, whole or not at all."""
    save_file = _safetensors("save_file")
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        save_file(plain, os.fspath(temporary), metadata={"about": json.dumps(about, ensure_ascii=False)})


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Tensors]:
    """Return the header and the tensors of a file that `write_tensors` wrote; raises FileError for anything else."""
    safe_open = _safetensors("safe_open")
    if not Path(path).is_file():
        raise FileError(f"no file {os.fspath(path)}; check the path", path=Path(path))
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (KeyError, ValueError, OSError, _safetensors_error()) as why:
        raise FileError(f"{os.fspath(path)} is not a file of causalsem's tensors: {why}; was it cut short?", path=Path(path)) from why


def _safetensors(name: str) -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError:
        raise NotInstalledError("safetensors", need="saving and loading networks") from None
    return getattr(safetensors.torch, name, None) or getattr(safetensors, name)


def _safetensors_error() -> type[Exception]:
    import safetensors

    error: type[Exception] = safetensors.SafetensorError
    return error


def named(tensors: Tensors, prefix: str) -> Tensors:
    """Return the tensors under a prefix, without it."""
    return {name.removeprefix(prefix + "."): tensor for name, tensor in tensors.items() if name.startswith(prefix + ".")}
