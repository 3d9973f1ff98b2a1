# %% [markdown]
# # Debiasing a recommender, and taking the result elsewhere
#
# A log shows what was bought *when it was shown*, and what is shown is no accident. Here is a small simulated shop whose true chances of buying are known. First the debiased scores of this package, then weights for a recommender you already have.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import causalsem as cs

shop = cs.simulate_shop(users=600, items=60, seed=5)
pairs = cs.behaviours(shop.log, unit=("user", "item"))
pairs

# %% [markdown]
# ## What to hold fixed
#
# Traits come before the display, the display before everything a user does. The graph found within that order names what made the display and the purchase alike.

# %%
known = cs.Knowledge(tiers=pairs.tiers)
graph = cs.discover(cs.moments(pairs), cs.GES(), knowledge=known)
before = [name for name in pairs.names if pairs.roles[name] == "trait"]
adjust = cs.identify(graph, ("exposure", "buy"), allowed=before)
print(adjust)
for name, why in adjust.forbidden.items():
    print(f"never {name}: {why}")

# %% [markdown]
# The graph is an estimate. How probable is it that this set is valid, and is another one safer?

# %%
stability = cs.bootstrap(pairs, cs.GES(), knowledge=known, times=50, seed=0)
probable = cs.set_probabilities(stability, ("exposure", "buy"), candidates=[adjust.variables], allowed=before)
print(f"{adjust.variables} is valid with probability {probable[adjust.variables]:.2f}; the most probable set is {probable.best}")

# %% [markdown]
# ## Naive, debiased, true

# %%
naive, debiased = cs.naive_effect(pairs, adjust.query), cs.estimate_effect(pairs, adjust, cs.AIPW(), seed=0)
pd.DataFrame(
    {"lift of a display": [naive.value, debiased.value, shop.truth.lift("buy")]},
    index=["naive", "debiased", "true"],
).round(4)

# %% [markdown]
# ## Debiased scores

# %%
model = cs.fit_outcome(pairs, adjust, cs.TwoTower(), loss=cs.DR(), seed=0)
scores = cs.score(model, top=5)
scores.for_user(scores.frame["user"].iloc[0])

# %% [markdown]
# ## Every stage at once
#
# Browsing and the cart lie between the display and the purchase, so they may not be inputs. They can be targets: each stage is learnt given the stages before it, and the chances along the way multiply to what a display does to each.

# %%
stages = ("browse", "cart", "buy", "review")
chain = cs.fit_outcome(pairs, adjust, cs.TwoTower(), loss=cs.ESCMDR(), stages=stages, seed=0)
naive = {stage: cs.naive_effect(pairs, cs.Query("exposure", stage)).value for stage in stages}
lifts = pd.DataFrame({"naive": naive, "debiased": chain.lifts, "true": {stage: shop.truth.lift(stage) for stage in stages}})
print(chain.predict_steps(pairs, 1).mean().round(3).to_string())
lifts.round(4)

# %% [markdown]
# ## Weights for the recommender you have
#
# Each pair's propensity is its chance of having been shown, judged by a network that never saw the pair. Weighted by its inverse, the shown pairs look like all pairs again: the gap between them, in standard deviations, before and after.

# %%
weights = cs.pair_weights(model, pairs, graph_sha256=adjust.graph_sha256)
shown = weights.shown
gaps = {}
for name in weights.features:
    everyone = pairs.column(name)
    told = [shown[name].mean(), np.average(shown[name], weights=shown["weight"])]
    gaps[name] = [(value - everyone.mean()) / everyone.std() for value in told]
print(weights)
pd.DataFrame(gaps, index=["as shown", "weighted"]).T.round(3)

# %% [markdown]
# ## Ready files
#
# RecBole, implicit, LightGBM's ranker, Spark's ALS and Open Bandit Pipeline each get what they read. Beside them lies `adjustment_sets.json`, tied by hash to the graph, the data and the weights. The same on the command line: `causalsem export graph.json exposure buy -o out --log events.parquet --for recbole --for obp`.

# %%
with tempfile.TemporaryDirectory() as folder:
    home = Path(folder)
    weights.save(home / "weights.parquet")
    for target in ("recbole", "implicit", "lightgbm", "spark_als"):
        cs.hand_over(weights, target, home / target)
    cs.export_adjustment_sets(graph, [adjust], home / "adjustment_sets.json", stability=stability, moments=cs.moments(pairs))
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        print(f"{path.relative_to(home).as_posix():<32} {path.stat().st_size:>9,} bytes")
    print((home / "recbole" / "causalsem" / "causalsem.inter").read_text(encoding="utf-8")[:160])

# %%
feedback = cs.LoggedFeedback.from_log(shop.log)
{name: np.shape(value) for name, value in cs.to_bandit_feedback(feedback, "buy").items()}

# %% [markdown]
# ## What this rests on
#
# Weights undo only what the adjustment set names: a hidden cause of display and purchase stays. Notebook 06 tries to break the answer.
