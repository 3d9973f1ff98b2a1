# %% [markdown]
# # What to adjust for
#
# Does browsing lead to buying, and what must be held fixed to see it? A graph answers, before any number is estimated. The shop is the bundled one; `docs/identification.md` tells the rest.

# %%
import causalsem as cs

graph = cs.CausalGraph.parse(
    "age -> activity; age -> exposure; age -> browse; activity -> exposure; activity -> browse; activity -> buy;"
    "exposure -> browse; browse -> cart; browse -> favourite; browse -> buy; cart -> buy; buy -> review"
)
for kind in ("optimal", "minimal", "canonical"):
    print(cs.adjustment_sets(graph, ("browse", "buy"), kind=kind))

# %% [markdown]
# ## What never to adjust for
#
# A mediator would hide part of the effect; what lies behind the outcome would bend it. `explain=True` names the condition that a set breaks, with a path as witness.

# %%
for name, why in cs.identify(graph, ("browse", "buy")).forbidden.items():
    print(f"never {name}: {why}")
print(cs.is_valid_adjustment(graph, ("browse", "buy"), {"activity", "cart"}, explain=True))
print(cs.is_valid_adjustment(graph, ("browse", "buy"), {"age"}, explain=True))

# %% [markdown]
# ## Nothing to adjust for, no effect, cannot adjust
#
# Three different answers. In the last graph nobody measured taste: no set will do, but the click carries the whole effect (front door).

# %%
hidden = cs.CausalGraph.parse("rank -> click; click -> buy; taste -> rank; taste -> buy", latent=["taste"])
print(cs.identify(graph, ("age", "buy")))
print(cs.identify(graph, ("buy", "browse")))
print(cs.adjustment_sets(hidden, ("rank", "buy")))
print(cs.front_door(hidden, ("rank", "buy")))
print(cs.id_expression(hidden, ("rank", "buy")))

# %% [markdown]
# ## A class of graphs
#
# Data alone leave some arrows open. An answer for the class holds in each of its graphs; where the sets differ between them, the effect is an interval instead of a number. Time order settles most of it.

# %%
from causalsem.identify import class_effects

table = cs.behaviours(cs.load_shop(), unit="user")
m = cs.moments(table)
found = cs.discover(m, cs.GES(), knowledge=cs.Knowledge())  # nothing is known
ordered = cs.discover(m, cs.GES())  # the table's tiers
query = ("exposure", "buy")
for name, one in {"without order": found, "with tiers": ordered}.items():
    print(f"{name}: {one.kind}")
    print("  ", cs.adjustment_sets(one, query, kind="optimal"))
    print("  ", class_effects(one, query, m))

# %% [markdown]
# ## How probable is it that the set is valid?
#
# Each resample of the users gives a graph. The set that the one discovered graph asks for may fail in many of them; another may hold in nearly all.

# %%
stability = cs.bootstrap(table, cs.GES(), times=200, seed=0)
probable = cs.set_probabilities(stability, ("browse", "buy"))
print(cs.identify(ordered, ("browse", "buy")), "| most often valid:", probable.best)
probable.table().round(2)

# %% [markdown]
# ## For other programs
#
# One JSON file per study: sets with their probabilities, what is forbidden and why, the effects that the class allows, and the independences that the data could refute.

# %%
import json
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    path = cs.export_adjustment_sets(ordered, [("browse", "buy")], Path(folder, "sets.json"), stability=stability, moments=m)
    effect = json.loads(path.read_text(encoding="utf-8"))["effects"][0]
{key: effect[key] for key in ("status", "adjustment_sets", "probability_identifiable", "effect_set")} | {
    "testable_implications": effect["testable_implications"][:2]
}
