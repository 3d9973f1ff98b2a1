"""PC: conditional independences first, arrows from colliders after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalsem.discovery.colliders import ColliderRule, check_colliders, collider_claims
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.independence.row_tests import IndependenceTest, check_test
from causalsem.discovery.orient import orient
from causalsem.discovery.skeleton import skeletons
from causalsem.discovery.stack import Tests, z_of_level
from causalsem.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class PC:
    """PC with Fisher's z on partial correlations (Spirtes & Glymour 1991; stable: Colombo & Maathuis 2014).

    `alpha` is the level of each test; `max_conditioning` caps the conditioning sets (None: no cap). `colliders` says
    when an unshielded a – m – b becomes a → m ← b: the set that separates a and b with the largest p-value is without
    m ("max-p", Ramsey 2016), most separating sets are ("majority"), all are ("conservative", Ramsey et al. 2006), or
    the set that removed a – b is ("sepset"). Every rule is independent of column order; weaker colliders give way.
    `test` (None: Fisher's z from moments, Wilks' Λ for blocks) may be one that reads rows: see `causalsem.discovery.TESTS`.
    """

    alpha: float = 0.01
    colliders: ColliderRule = "majority"
    max_conditioning: int | None = None
    test: IndependenceTest | None = None
    engine: str = "causalsem"

    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "CPDAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "no hidden confounders", "faithfulness", "linear relations with Gaussian noise")

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_colliders(self.colliders)
        check_cap(self.max_conditioning)
        check_test(self.test)


def check_alpha(alpha: float) -> None:
    """Raise SettingError unless alpha is a level of a test."""
    if not 0 < alpha < 1:
        raise SettingError(f"alpha is {alpha}; choose a level between 0 and 1, such as 0.01")


def check_cap(most: int | None) -> None:
    """Raise SettingError at a negative cap of conditioning sets."""
    if most is not None and most < 0:
        raise SettingError(f"max_conditioning is {most}; choose 0 or more, or None for no cap")


def search(data: Tests, settings: PC, rules: Rules) -> list[Found]:
    """Return the class that PC finds in each data set."""
    threshold = z_of_level(settings.alpha)
    most = data.p if settings.max_conditioning is None else settings.max_conditioning
    found = skeletons(data, threshold, rules.apart, rules.joined, rules.forbidden, most)
    claims = collider_claims(data, threshold, settings.colliders, rules, found)
    return [orient(found.adjacent[b], claims[b].colliders, rules, data.strength(b), claims[b].ambiguous) for b in range(data.size)]
