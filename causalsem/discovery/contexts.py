"""with_contexts(): what joint causal inference knows about interventions and platforms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from causalsem.errors import check_names
from causalsem.graph import Knowledge


def with_contexts(
    contexts: Iterable[str], names: Sequence[str], knowledge: Knowledge | None = None, *, randomised: bool = False
) -> Knowledge:
    """Return knowledge in which contexts (interventions, platforms, campaigns, years) are not caused by other variables.

    Pool the rows of all contexts into one table with a column per context, and discover with this knowledge: a
    context's arrow into a variable says that its mechanism differs between contexts (joint causal inference, Mooij,
    Magliacane & Claassen 2020, assumption 1). With `randomised`, contexts share no cause with the variables and have no
    edge among themselves (assumption 2, and independent contexts). Raises UnknownNameError, KnowledgeError.
    """
    contexts = tuple(contexts)
    check_names(contexts, names, where="the variables")
    known = knowledge or Knowledge()
    others = [name for name in names if name not in contexts]
    forbidden = [(name, context) for name in others for context in contexts]
    if randomised:
        forbidden += [(a, b) for a in contexts for b in contexts if a != b]
    tiers = [[name for name in tier if name not in contexts] for tier in known.tiers]
    return Knowledge(
        tiers=[tier for tier in tiers if tier],
        required=known.required,
        forbidden=list(dict.fromkeys([*known.forbidden, *forbidden])),
        forbidden_within_tiers=known.forbidden_within_tiers,
    )
