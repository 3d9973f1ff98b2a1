"""Recipes as values and as TOML."""

from __future__ import annotations

from dataclasses import MISSING

import pytest

import causalsem as cs
from causalsem.errors import SettingError, UnknownNameError


def test_a_recipe_survives_its_file(tmp_path) -> None:
    recipe = cs.Recipe(
        unit="user",
        window=("2025-01-01", "2025-02-01"),
        history="30D",
        discovery=cs.PC(alpha=0.02),
        effect=cs.IPW(),
        loss=cs.IPS(),
        counterfactuals=True,
        balance=True,
        network=cs.TwoTower(dim=4, adversarial="auto"),
        reward={"购买": 1.0, "add to cart": 0.25},
        seed=7,
    )
    assert cs.Recipe.load(recipe.save(tmp_path / "recipe.toml")) == recipe


def test_a_file_may_name_a_method_alone_and_leave_the_rest_out(tmp_path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('discovery = "PC"\n[effect]\nmethod = "IPW"\n', encoding="utf-8")
    assert cs.Recipe.load(path) == cs.Recipe(discovery=cs.PC(), effect=cs.IPW())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fold = 3\n", r"does not know 'fold'; it knows \['unit', .*'folds'.*\]; did you mean 'folds'"),
        ('discovery = "GEZ"\n', "unknown method 'GEZ' .* did you mean 'GES'"),
        (
            '[discovery]\nmethod = "PC"\nalhpa = 0.1\n',
            r"\[discovery\] of .* does not know 'alhpa'; it knows \['alpha'.* did you mean 'alpha'",
        ),
        ("folds = \n", "is not TOML"),
        ('folds = "five"\n', "folds: .*valid integer.*, not 'five'"),
        ('[discovery]\nmethod = "PC"\nalpha = "low"\n', "alpha: .*valid number.* not 'low'"),
    ],
)
def test_a_wrong_file_is_answered_with_the_nearest_name(text: str, words: str, tmp_path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(cs.errors.InputError, match=words):
        cs.Recipe.load(path)


def test_stages_are_all_or_a_chain(tmp_path) -> None:
    for stages in ("all", ("browse", "cart", "buy")):
        recipe = cs.Recipe(stages=stages)
        assert cs.Recipe.load(recipe.save(tmp_path / "recipe.toml")) == recipe
    with pytest.raises(SettingError, match="'browse' names no chain; list behaviours in order"):
        cs.Recipe(stages="browse")


def test_balancing_and_adversaries_are_sizes_of_two_towers_that_unseen_folds_choose() -> None:
    assert cs.Recipe().outcome_network is None
    assert cs.Recipe(balance=True).outcome_network == cs.TwoTower(balance="auto")
    named = cs.Recipe(balance=True, adversarial=True, network=cs.TwoTower(dim=4, balance=0.5))
    assert named.outcome_network == cs.TwoTower(dim=4, balance=0.5, adversarial="auto")
    with pytest.raises(SettingError, match="balance needs two towers, not Multilevel"):
        cs.Recipe(balance=True, network=cs.Multilevel())


def test_a_method_of_another_stage_is_refused(tmp_path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('discovery = "AIPW"\n', encoding="utf-8")
    with pytest.raises(UnknownNameError, match="unknown method 'AIPW'"):
        cs.Recipe.load(path)


@pytest.mark.parametrize("wrong", [{"holdout": 0.0}, {"holdout": 1.0}, {"times": 0}, {"folds": 0}, {"top": 0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=next(iter(wrong))):
        cs.Recipe(**wrong)


def has_defaults(kind: object) -> bool:
    """Tell whether a public name is a class of settings that all have defaults."""
    fields = getattr(kind, "__dataclass_fields__", None)
    if not isinstance(kind, type) or fields is None or not kind.__dataclass_params__.eq:
        return False
    if any(f.default is MISSING and f.default_factory is MISSING for f in fields.values()):
        return False
    try:
        kind()
    except SettingError:  # a setting whose default only says that it must be given
        return False
    return True


def test_every_method_survives_a_recipes_file(tmp_path) -> None:
    """Types that pydantic cannot judge, such as protocols, are left to the method itself."""
    for choice, module in (("discovery", cs.discovery), ("effect", cs.effects), ("network", cs.networks), ("loss", cs.outcome)):
        for kind in filter(has_defaults, (getattr(module, name) for name in module.__all__)):
            recipe = cs.Recipe(**{choice: kind()})
            assert cs.Recipe.load(recipe.save(tmp_path / "recipe.toml")) == recipe, kind
