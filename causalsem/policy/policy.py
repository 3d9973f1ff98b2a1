"""Policy: what to show to whom, with which probability."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, IntArray, frozen, json_text, read_json, whole_file, write_text
from causalsem.errors import DataError, FileError, SettingError, shown
from causalsem.policy.context import ContextBasis
from causalsem.policy.logged_feedback import Labels, LoggedFeedback
from causalsem.policy.reward import Reward

FORMAT = "causalsem-policy"
SKETCH = 4096
ARRAYS = ("coefficients", "mean", "scale", "curved")


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A softmax policy: π(a | x) = softmax(basis(x) · coefficients)_a over the labels `actions`.

    `reward` is what it was learnt for; `seen` holds hashes of the rounds it was learnt on (the smallest 4,096), by which
    its evaluation knows them; `notes` and `settings` say how it was learnt.
    """

    basis: ContextBasis
    coefficients: FloatArray  # (p, A)
    actions: Labels
    context_names: tuple[str, ...]
    reward: Reward | None = None
    seen: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", frozen(self.coefficients))
        object.__setattr__(self, "seen", frozen(self.seen, np.uint64))
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))
        if self.coefficients.shape != (self.basis.width, len(self.actions)):
            raise DataError(f"coefficients of shape {self.coefficients.shape}; hand in ({self.basis.width}, {len(self.actions)})")

    def probabilities(self, context: npt.ArrayLike | LoggedFeedback) -> FloatArray:
        """Return π(a | x) of contexts (n, d), shape (n, A); each row sums to 1."""
        return np.asarray(softmax(self._logits(context), axis=1))

    def greedy(self, context: npt.ArrayLike | LoggedFeedback) -> IntArray:
        """Return the code (n,) of the most probable action of each context."""
        return np.asarray(self._logits(context).argmax(axis=1), dtype=np.int64)

    def recommend(self, context: npt.ArrayLike | LoggedFeedback, *, top: int = 5) -> list[list[Any]]:
        """Return the labels of the `top` most probable actions of each context, best first."""
        if not 1 <= top <= len(self.actions):
            raise SettingError(f"top is {top}; use 1 to {len(self.actions)}")
        order = np.argsort(-self._logits(context), axis=1, kind="stable")[:, :top]
        return [[self.actions[code] for code in row] for row in order]

    def share_seen(self, feedback: LoggedFeedback) -> float:
        """Return the estimated share of these rounds that the policy was learnt on."""
        return share_of(self.seen, feedback)

    def _logits(self, context: npt.ArrayLike | LoggedFeedback) -> FloatArray:
        if isinstance(context, LoggedFeedback):
            if context.context_names != self.context_names or context.actions != self.actions:
                raise DataError(
                    f"the feedback has context {shown(context.context_names)} and {len(context.actions):,} actions, the policy "
                    f"{shown(self.context_names)} and {len(self.actions):,}; hand in feedback of the same shop"
                )
            context = context.context
        numbers = np.atleast_2d(np.asarray(context, dtype=np.float64))
        if not np.isfinite(numbers).all():
            raise DataError("the context holds missing or infinite values; impute them as in learning")
        return np.asarray(self.basis(numbers) @ self.coefficients)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a description as JSON and the numbers as safetensors beside it; return the JSON's path."""
        from safetensors.numpy import save_file

        arrays = {"coefficients": self.coefficients, **self.basis.arrays(), "seen": self.seen.view(np.int64)}
        with whole_file(Path(path).with_suffix(".safetensors")) as temporary:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
        about: dict[str, Any] = {"format": FORMAT, "actions": self.actions, "context_names": self.context_names, "notes": self.notes}
        about |= {"reward": None if self.reward is None else dict(self.reward.weights), "settings": dict(self.settings)}
        return write_text(path, json_text(about))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Policy:
        """Return the policy that `save` wrote."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        about = read_json(path, FORMAT)
        numbers = Path(path).with_suffix(".safetensors")
        try:
            arrays = load_file(numbers)
        except FileNotFoundError:
            raise FileError(f"no file {numbers} beside {os.fspath(path)}; keep both together", path=numbers) from None
        except (SafetensorError, OSError, json.JSONDecodeError) as why:
            raise FileError(f"cannot read {numbers}: {why}; was it cut short?", path=numbers) from why
        basis = ContextBasis(arrays["mean"], arrays["scale"], arrays["curved"] > 0)
        reward = None if about["reward"] is None else Reward(**about["reward"])
        names, notes = tuple(about["context_names"]), tuple(about["notes"])
        seen = arrays["seen"].view(np.uint64)
        return cls(basis, arrays["coefficients"], tuple(about["actions"]), names, reward, seen, notes, about["settings"])

    def __repr__(self) -> str:
        worth = "" if self.reward is None else f", learnt for {self.reward}"
        notes = "".join(f"; {note}" for note in self.notes)
        return f"Policy(softmax over {len(self.actions):,} actions given {shown(self.context_names)}{worth}{notes})"

    _repr_mimebundle_ = mimebundle


def sketch_of(feedback: LoggedFeedback) -> npt.NDArray[np.uint64]:
    """Return the smallest 4,096 hashes of the rounds, each that occurs once (rounds alike cannot be told apart)."""
    hashes, counts = np.unique(feedback.rounds, return_counts=True)
    return np.asarray(hashes[counts == 1][:SKETCH])


def share_of(seen: npt.NDArray[np.uint64], feedback: LoggedFeedback) -> float:
    """Return the estimated share of the feedback's rounds whose hashes are in the sketch `seen`."""
    if not seen.size:
        return 0.0
    hashes, counts = np.unique(feedback.rounds, return_counts=True)
    alone = hashes[counts == 1]
    comparable = alone[alone <= seen.max()] if seen.size == SKETCH else alone
    return float(np.isin(comparable, seen).mean()) * len(alone) / len(hashes) if comparable.size else 0.0
