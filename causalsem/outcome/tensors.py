"""From encoded pairs to tensors on a device: the one place where dtype and device are decided."""

from __future__ import annotations

import os

import torch

from causalsem._values import FloatArray, IntArray
from causalsem.errors import SettingError
from causalsem.networks.net import Inputs
from causalsem.outcome.encoder import Encoded
from causalsem.outcome.plan import TrainingData


def device_of(name: str) -> torch.device:
    """Return the device: "auto" is CUDA where there is one (torchrun's own for this process), else the CPU.

    Raises SettingError for a device that is absent.
    """
    if name == "auto":
        return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise SettingError(f"device {name!r} was asked for but torch sees no CUDA device; use device='auto' or 'cpu'")
    try:
        return torch.device(name)
    except RuntimeError as why:
        raise SettingError(f"unknown device {name!r} ({why}); use 'auto', 'cpu' or 'cuda'") from None


def real(array: FloatArray, device: torch.device) -> torch.Tensor:
    """Return a float32 tensor on the device."""
    return torch.tensor(array, dtype=torch.float32, device=device)


def whole(array: IntArray, device: torch.device) -> torch.Tensor:
    """Return an int64 tensor on the device."""
    return torch.tensor(array, dtype=torch.int64, device=device)


def training_data(encoded: Encoded, train: IntArray, held: IntArray, device: torch.device) -> TrainingData:
    """Return everything a training reads, on the device."""
    pair = real(encoded.pair, device) if encoded.pair.shape[1] else None
    traits = real(encoded.user_traits, device), real(encoded.item_traits, device)
    return TrainingData(whole(encoded.user, device), whole(encoded.item, device), pair, *traits, whole(train, device), whole(held, device))


def inputs_of(encoded: Encoded, part: slice, members: int, device: torch.device) -> Inputs:
    """Return a slice of encoded pairs as the same batch for every member."""

    def spread(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.expand(members, *tensor.shape)  # (M, n, …), no copy

    pair = spread(real(encoded.pair[part], device)) if encoded.pair.shape[1] else None
    user, item = spread(whole(encoded.user[part], device)), spread(whole(encoded.item[part], device))
    return Inputs(user, item, pair, real(encoded.user_traits, device), real(encoded.item_traits, device))
