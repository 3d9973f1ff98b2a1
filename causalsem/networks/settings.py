"""The settings of the networks, readable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from causalsem.errors import SettingError

# A number, or what unseen folds choose among a few sizes, 0 unless another clearly gains.
Size = float | Literal["auto"]


def fixed(size: Size) -> float:
    """Return a size as it is before anything is chosen."""
    return 0.0 if isinstance(size, str) else size


@dataclass(frozen=True)
class TwoTower:
    """Two towers over ids and traits, a joint layer over both and the adjustment block (Yi et al. 2019; Shalit et al. 2017).

    `dim` is the width of the user and item vectors, `hidden` the widths of the joint layers (may be empty: then the
    model is a factorisation machine with traits), `dropout` and `id_dropout` are shares in [0, 1): the first zeroes
    hidden units, the second forgets ids during training so that traits learn to answer for the unseen.
    `adversarial` moves every id's row by so much against the model in training (He et al. 2018). `balance` weighs a critic who
    must not tell treated from untreated pairs by what the outcome heads read of them (domain-adversarial balancing: Ganin et al.
    2016; Shalit et al. 2017). Both are off at 0; at "auto" unseen folds choose among a few sizes, and 0 unless one clearly gains
    (`OutcomeModel.gains` tells what).
    `id_prior` is the standard deviation of a normal prior on every number of an id's row, on the scale of the
    predictor (logits), as in a multilevel model: small values trust traits, large ones trust ids; `weight_prior` is that of
    the weights the ids share.
    `wide` puts the towers on top of a multilevel model that is solved first (Cheng et al. 2016 train both at once): it stands for
    everything linear, intercepts of ids among it, under variances learnt from the log, and the towers for what is left; their part
    stays as far as unseen folds say that it helps. Of an id there is then only its vector, under `vector_prior`.
    """

    dim: int = 16
    hidden: tuple[int, ...] = (32,)
    dropout: float = 0.0
    id_dropout: float = 0.05
    id_prior: float = 0.4
    weight_prior: float = 1.0
    adversarial: Size = 0.0
    balance: Size = 0.0
    wide: bool = False
    vector_prior: float = 1.0
    # The learning rate that suits this network when the caller names none.
    usual_rate: ClassVar[float] = 0.02

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(int(width) for width in self.hidden))
        if self.dim < 1 or any(width < 1 for width in self.hidden):
            raise SettingError(f"widths must be at least 1, not dim={self.dim}, hidden={self.hidden}; widen them")
        for name in ("dropout", "id_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(f"{name} is a share in [0, 1), not {getattr(self, name)}; choose 0 to switch it off")
        for name, what in (("adversarial", "the length of a step"), ("balance", "the weight of a critic")):
            size = getattr(self, name)
            if size != "auto" and (isinstance(size, str) or not 0 <= size < float("inf")):
                raise SettingError(f"{name}={size!r} is {what}; choose 0 to switch it off, more, or 'auto' to let unseen folds choose")
        if self.wide and (self.balance != 0 or self.adversarial == "auto"):
            raise SettingError(
                f"wide=True stands on levels that no critic can balance, and chooses its depth alone (balance={self.balance!r}, "
                f"adversarial={self.adversarial!r}); use balance=0 and a number for adversarial, or wide=False"
            )
        for name in ("id_prior", "weight_prior", "vector_prior"):
            if not getattr(self, name) > 0:
                raise SettingError(
                    f"{name} is a standard deviation above 0, not {getattr(self, name)}; choose a large one for no shrinkage"
                )


@dataclass(frozen=True)
class Multilevel:
    """Generalised linear mixed model: intercepts of users and items, traits, crosses, random slopes (Gelman & Hill 2007).

    predictor = b + a_u + a_i + C (x_u, x_i, z) + x_uᵀ B x_i + s_uᵀ x_i + r_iᵀ x_u. Each prior is the standard deviation of a
    normal prior on the scale of the predictor: of the intercepts a (`id_prior`), the slopes of users on item traits and of items on
    user traits s, r (`slope_prior`), the crosses B (`cross_prior`) and the traits' own weights C (`weight_prior`). These serve
    where it is trained by gradient steps; solved on the grid of users × items, `fit_outcome` learns a prior for
    every level and trait from the log instead.
    """

    id_prior: float = 0.5
    slope_prior: float = 0.2
    cross_prior: float = 0.1
    weight_prior: float = 0.5
    usual_rate: ClassVar[float] = 0.05
    # It has no vectors for an adversary to move, and no representation that all heads read.
    adversarial: ClassVar[Size] = 0.0
    balance: ClassVar[Size] = 0.0

    def __post_init__(self) -> None:
        for name in ("id_prior", "slope_prior", "cross_prior", "weight_prior"):
            if not getattr(self, name) > 0:
                raise SettingError(
                    f"{name} is a standard deviation above 0, not {getattr(self, name)}; choose a large one for no shrinkage"
                )
