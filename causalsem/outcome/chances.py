"""From the heads of a chain to the chance of every stage: sums over the ways to it, each a product of conditional chances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from causalsem.outcome.chain import ARMS, Chain

# The log chance (…, arms) of what pairs have done so far; None where it is certain.
LogChance = torch.Tensor | None
State = tuple[int, ...]
# The log chance of a stage to which no way leads.
NEVER = -30.0


@dataclass(frozen=True, slots=True)
class Chances:
    """Log chances under do(T = arm): `door` of standing at each door (…, doors, arms), `stage` of each stage (…, K, arms)."""

    door: torch.Tensor
    stage: torch.Tensor


def chances(chain: Chain, outcome: torch.Tensor) -> Chances:
    """Return what the outcome heads (…, doors × arms), logits of each stage at each of its doors, come to."""
    logits = outcome.reshape(*outcome.shape[:-1], chain.doors, ARMS)
    doors, stages = [], []
    for at, happened in _walk(chain, logits):
        doors += [torch.zeros_like(logits[..., 0, :]) if log is None else log for log in at]
        stages.append(happened)
    return Chances(torch.stack(doors, dim=-2), torch.stack(stages, dim=-2))


def predictors(chain: Chain, outcome: torch.Tensor) -> torch.Tensor:
    """Return the predictor of each stage under each arm, the logit of its chance: heads (…, doors × arms) → (…, K, arms).

    The heads of a lone stage are its predictors, whatever they predict.
    """
    if len(chain.stages) == 1:
        return outcome[..., None, :]
    log = chances(chain, outcome).stage
    return log - log_not(log)


def log_not(log: torch.Tensor) -> torch.Tensor:
    """Return log(1 − exp(log)) for log < 0 without cancellation; the clamp keeps its slope finite at 0."""
    return torch.log(-torch.expm1(log.clamp(max=-1e-6)))


def _walk(chain: Chain, logits: torch.Tensor) -> Iterator[tuple[list[LogChance], torch.Tensor]]:
    """Yield, stage by stage, the log chances of its doors and of itself; states from which no later door opens are let go."""
    ways: dict[State, LogChance] = {(): None}
    never = torch.full_like(logits[..., 0, :], NEVER)
    for stage, first in zip(chain.stages, chain.first_doors, strict=True):
        at: list[list[LogChance]] = [[] for _ in stage.doors]
        happened: list[torch.Tensor] = []
        after: dict[State, list[LogChance]] = {}
        for state, log in ways.items():
            d = stage.door(state)
            then: dict[int, LogChance] = {0: log}
            if d is not None:
                logit = logits[..., first + d, :]
                at[d].append(log)
                happened.append(_and(log, logsigmoid(logit)))
                then = {1: happened[-1]}
                if _leads_on(chain, (*state, 0)):
                    then[0] = _and(log, logsigmoid(-logit))
            for value, reached in then.items():
                if _leads_on(chain, (*state, value)):
                    after.setdefault(_remembered(chain, (*state, value)), []).append(reached)
        yield [_or(logs) if logs else never for logs in at], _sum(happened) if happened else never
        ways = {state: _or(logs) for state, logs in after.items()}


def _remembered(chain: Chain, state: State) -> State:
    """Return a state with 0 for every stage that no later one looks at, so that ways which no longer differ become one."""
    needed = {p for stage in chain.stages[len(state) :] for p in stage.parents}
    return tuple(value if k in needed else 0 for k, value in enumerate(state))


def _leads_on(chain: Chain, state: State) -> bool:
    """Say whether some later stage has a door that is still open to a state."""
    done = len(state)
    for stage in chain.stages[done:]:
        for values in (v for group in stage.doors for v in group):
            if all(state[p] == v for p, v in zip(stage.parents, values, strict=True) if p < done):
                return True
    return False


def _and(log: LogChance, more: torch.Tensor) -> torch.Tensor:
    return more if log is None else log + more


def _or(logs: list[LogChance]) -> LogChance:
    """Return the log of the sum of disjoint chances; one that is certain leaves none to others."""
    uncertain = [log for log in logs if log is not None]
    return _sum(uncertain) if len(uncertain) == len(logs) else None


def _sum(logs: list[torch.Tensor]) -> torch.Tensor:
    return logs[0] if len(logs) == 1 else torch.logsumexp(torch.stack(logs), dim=0)
