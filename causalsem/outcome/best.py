"""The best weights so far, kept where they do not count against the device: in memory, or in a file when they are many."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

Tensors = dict[str, torch.Tensor]
# Bytes of one tensor from which a copy of it goes to a file that the system pages in and out.
LARGE = 2**28


@contextmanager
def best_of(net: torch.nn.Module) -> Iterator[Tensors]:
    """Give a copy of the weights on the CPU for the time of a training; `keep` writes into it."""
    with tempfile.TemporaryDirectory(prefix="causalsem-best-") as folder:
        best = {name: _room(tensor, Path(folder) / str(k)) for k, (name, tensor) in enumerate(net.state_dict().items())}
        keep(net.state_dict(), best)
        yield best
        best.clear()


def keep(weights: Tensors, best: Tensors) -> None:
    """Overwrite the copy with the present weights."""
    for name, tensor in weights.items():
        best[name].copy_(tensor)


def _room(tensor: torch.Tensor, path: Path) -> torch.Tensor:
    if tensor.numel() * tensor.element_size() < LARGE:
        return torch.empty(tensor.shape, dtype=tensor.dtype)
    return torch.from_file(str(path), shared=True, size=tensor.numel(), dtype=tensor.dtype).reshape(tensor.shape)
