"""learn_policy: a softmax policy by doubly robust policy gradient from logged rounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causalsem._progress import progress
from causalsem._values import FloatArray
from causalsem.effects.estimate import standard_error
from causalsem.errors import DataError, SettingError, TrainingError, check_kind
from causalsem.policy.cloning import clone_logging_policy
from causalsem.policy.context import ContextBasis, standardised
from causalsem.policy.logged_feedback import LoggedFeedback
from causalsem.policy.policy import Policy, sketch_of
from causalsem.policy.reward import Reward
from causalsem.policy.reward_model import RewardModel, fit_reward_model, round_folds

if TYPE_CHECKING:
    from torch import Tensor

    from causalsem.policy.softmax import SoftmaxNet


# Weights that judge a policy may be larger than those that teach it, but one round shall not end the learning.
HELD_OUT_CLIP = 4


@dataclass(frozen=True)
class PolicyGradient:
    """Doubly robust policy gradient over all actions (Dudík, Langford & Li 2011; Swaminathan & Joachims 2015).

    Maximises mean_i Σ_a π(a|x_i) q(x_i, a) + min(π/p, clip) (r_i − q(x_i, a_i)) − kl · KL(logging ‖ π) + entropy · H(π),
    with a cross-fitted reward model q, starting from a clone of the logging policy. `shrink` is the prior precision of
    what sets an action apart from others of its features (several hundred rounds must speak for it). After every epoch the doubly robust
    gain over logging on `hold_out` of the users is estimated; the epoch whose gain less `caution` standard errors is
    largest is kept, and if none is above zero, the clone of the logging policy is returned instead.
    """

    epochs: int = 60
    batch: int = 4096
    learning_rate: float = 0.05
    clip: float = 5.0
    shrink: float = 300.0
    kl: float = 0.01
    entropy: float = 0.0
    hold_out: float = 0.3
    patience: int = 12
    caution: float = 1.0
    folds: int = 3

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or self.patience < 1:
            raise SettingError("epochs, batch and patience must be 1 or more")
        if not 0 < self.hold_out < 1 or self.folds < 2:
            raise SettingError(f"hold_out is {self.hold_out} and folds {self.folds}; use a share between 0 and 1, and 2 folds or more")
        if min(self.learning_rate, self.clip) <= 0 or min(self.kl, self.entropy, self.caution, self.shrink) < 0:
            raise SettingError("learning_rate and clip must be above 0; kl, entropy, caution and shrink 0 or more")


def learn_policy(
    feedback: LoggedFeedback,
    method: PolicyGradient | str = PolicyGradient(),
    *,
    reward: Reward,
    seed: int = 0,
    device: str = "auto",
) -> Policy:
    """Return a softmax policy learnt from the feedback's rounds to earn more `reward` than the logging policy did.

    It is never worse than logging as far as held-out users can tell: its notes say the gain found there, which is what
    it was chosen by; `evaluate_policy` on other rounds gives the honest one.
    Raises UnknownNameError for a reward on an unknown outcome and DataError when no round earned anything.
    """
    check_kind(feedback, LoggedFeedback, "feedback", "make it by LoggedFeedback.from_log(log)")
    check_kind(reward, Reward, "a reward", "hand in Reward(buy=1.0), each outcome with what it is worth")
    settings = _settings(method)
    earned = reward.of(feedback)
    if np.ptp(earned) == 0:
        raise DataError(f"every one of {len(feedback):,} rounds earned {earned[0]:g}; there is nothing to learn from, weigh other outcomes")
    if len(feedback) < 50:
        raise DataError(f"{len(feedback)} rounds are too few to learn from and to check on; bring more", rows=len(feedback))
    from causalsem.policy.softmax import pick_device

    where = pick_device(device)
    parts = round_folds(feedback, max(2, round(1 / settings.hold_out)), seed)
    train, held = _part(feedback, earned, parts != 0), _part(feedback, earned, parts == 0)
    model = fit_reward_model(train[0], train[1], folds=settings.folds, seed=seed)
    F = standardised(feedback.features)
    clone = clone_logging_policy(model.basis(train[0].context), F, train[0].action, device=where, seed=seed)
    coefficients, gain, error = _climb(train, held, model, clone, F, settings, seed, where)
    lower = gain - settings.caution * error
    if lower > 0:
        note = f"gain over logging {gain:.3g} ± {error:.2g} per round on held-out users, by which it was chosen"
    else:
        coefficients, note = (
            clone,
            "no policy beat the logging policy on held-out users beyond its error, so this is the logging policy's clone",
        )
    return Policy(
        basis=model.basis,
        coefficients=coefficients,
        actions=feedback.actions,
        context_names=feedback.context_names,
        reward=reward,
        seen=sketch_of(feedback),
        notes=(note,),
        settings={"method": type(settings).__name__, **asdict(settings), "seed": seed, "rounds": len(feedback)},
    )


def _settings(method: PolicyGradient | str) -> PolicyGradient:
    if isinstance(method, str):
        if method != "PolicyGradient":
            raise SettingError(f"unknown policy learner {method!r}; use PolicyGradient()")
        return PolicyGradient()
    check_kind(method, PolicyGradient, "a policy learner", "use PolicyGradient()")
    return method


Part = tuple[LoggedFeedback, FloatArray]


def _part(feedback: LoggedFeedback, earned: FloatArray, mask: Any) -> Part:
    if not mask.any() or mask.all():
        raise DataError("all rounds belong to one user, so none can be held out; bring more users")
    return feedback.take(mask), earned[mask]


def _climb(
    train: Part, held: Part, model: RewardModel, clone: FloatArray, F: FloatArray, settings: PolicyGradient, seed: int, device: str
) -> tuple[FloatArray, float, float]:
    """Return the best epoch's coefficients with its held-out gain over logging and that gain's standard error."""
    import torch

    from causalsem.policy.softmax import SoftmaxNet, batches

    net = SoftmaxNet(clone, F).to(device)
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
    data = _Rounds(train, model, float(train[1].std()), device)
    steps = -(-len(train[0]) // settings.batch)
    best = (clone, 0.0, 0.0)
    best_lower, waited = 0.0, 0
    for epoch in progress(range(settings.epochs), "learning the policy"):
        for index in batches(len(train[0]), settings.batch, steps, seed + epoch, device):
            loss = -data.objective(net, index, settings)
            if not torch.isfinite(loss):
                raise TrainingError(f"the policy's objective is not finite in epoch {epoch}; lower learning_rate or clip", epoch=epoch)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimiser.step()
        coefficients = net.coefficients_as_numpy()
        gain, error = _held_out_gain(held, model, coefficients, HELD_OUT_CLIP * settings.clip)
        waited += 1
        if gain - settings.caution * error > best_lower:
            best, best_lower, waited = (coefficients, gain, error), gain - settings.caution * error, 0
        if waited >= settings.patience:
            break
    return best


class _Rounds:
    """The training rounds on the device, with the reward model's coefficients per fold."""

    def __init__(self, train: Part, model: RewardModel, unit: float, device: str) -> None:
        import torch

        feedback, earned = train

        def put(array: FloatArray) -> Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=device)

        self.x = put(model.basis(feedback.context))  # (n, p)
        self.a = torch.as_tensor(feedback.action.copy(), device=device)
        self.p = put(1.0 * feedback.propensity)
        self.r = put(earned / unit)
        self.q = put(model.coefficients / unit)  # (folds, p, A)
        self.fold = torch.as_tensor(model.folds, device=device)

    def objective(self, net: SoftmaxNet, index: Tensor, settings: PolicyGradient) -> Tensor:
        """Return the regularised doubly robust value of a batch, in standard deviations of the reward."""
        import torch

        x, a = self.x[index], self.a[index][:, None]
        with torch.no_grad():
            q = torch.zeros(len(index), self.q.shape[2], device=x.device)  # (n, A)
            for k in range(len(self.q)):
                rows = self.fold[index] == k
                q[rows] = x[rows] @ self.q[k]
            surprise = self.r[index] - q.gather(1, a)[:, 0]
        log_pi = net.log_probabilities(x)
        pi = log_pi.exp()
        chosen = log_pi.gather(1, a)[:, 0]
        weight = (chosen.exp() / self.p[index]).clamp(max=settings.clip)
        value = ((pi * q).sum(1) + weight * surprise).mean()
        # KL(logging ‖ π) up to a constant: the logged actions' negative log-likelihood.
        regular = settings.kl * chosen.mean() - settings.shrink * net.penalty() / len(self.a)
        return value + regular - settings.entropy * (pi * log_pi).sum(1).mean() if settings.entropy else value + regular


def _held_out_gain(held: Part, model: RewardModel, coefficients: FloatArray, clip: float) -> tuple[float, float]:
    """Return the doubly robust gain over the logging policy on rounds the reward model never saw, and its error."""
    feedback, earned = held
    q_of = model.coefficients.mean(axis=0)
    gains = np.concatenate([_gains(feedback, earned, model.basis, q_of, coefficients, clip, part) for part in _slices(len(feedback))])
    user = None if feedback.user is None else np.unique(feedback.user, return_inverse=True)[1].astype(np.int64)
    gain = float(gains.mean())
    return gain, standard_error(gains - gain, user)


def _gains(
    feedback: LoggedFeedback, earned: FloatArray, basis: ContextBasis, q_of: FloatArray, coefficients: FloatArray, clip: float, part: slice
) -> FloatArray:
    from scipy.special import softmax

    x, a = basis(feedback.context[part]), feedback.action[part]
    pi, q = softmax(x @ coefficients, axis=1), x @ q_of
    rows = np.arange(len(a))
    weight = np.minimum(pi[rows, a] / feedback.propensity[part], clip)
    return np.asarray((pi * q).sum(axis=1) + weight * (earned[part] - q[rows, a]) - earned[part])


def _slices(n: int, size: int = 8192) -> Iterator[slice]:
    for first in range(0, n, size):
        yield slice(first, min(first + size, n))
