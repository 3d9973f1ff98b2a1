# %% [markdown]
# # The same steps elsewhere: infants, and a diagnosis
#
# Modelled on the Infant Health and Development Program (Hill 2011), simulated: premature infants, visits by specialists for some, a test of cognition at three. Mothers who accept visits differ from those who do not. The true average effect is 4 points, more for the smallest infants.

# %%
import numpy as np
import pandas as pd

import causalsem as cs

rng = np.random.default_rng(8)
n = 1500
weight = rng.normal(size=n)
weeks = 0.7 * weight + 0.7 * rng.normal(size=n)
school = rng.normal(size=n)
smokes = (rng.random(n) < 1 / (1 + np.exp(1 + school))).astype(float)
visits = (rng.random(n) < 1 / (1 + np.exp(0.6 - 0.9 * school + 0.5 * weight))).astype(float)
effect = 4 - 2 * weight
words = 0.4 * visits + 0.5 * school + rng.normal(size=n)
cognition = 90 + 3 * weight + 4 * school - 2 * smokes + effect * visits + 5 * rng.normal(size=n)
infants = pd.DataFrame(
    {"weight": weight, "weeks": weeks, "school": school, "smokes": smokes, "visits": visits, "words": words, "cognition": cognition}
)
print("true average effect", round(effect.mean(), 2))
infants.groupby("visits").mean().round(2)

# %% [markdown]
# ## The graph

# %%
tiers = {"birth": ["weight", "weeks"], "mother": ["school", "smokes"], "care": ["visits"], "age 2": ["words"], "age 3": ["cognition"]}
known = cs.Knowledge(tiers=[["weight", "weeks", "school", "smokes"], ["visits"], ["words"], ["cognition"]])
graph = cs.discover(cs.moments(infants), cs.GES(), knowledge=known)
stability = cs.bootstrap(infants, cs.GES(), knowledge=known, times=50, seed=0)
graph.plot(tiers=tiers, stability=stability)
# %%
adjust = cs.identify(graph, cs.Query("visits", "cognition"), allowed=["weight", "weeks", "school", "smokes"])
print(adjust)
cs.balance(infants, adjust)

# %% [markdown]
# ## Four methods, one question
#
# The naive difference mixes the visits with the mothers who chose them. A regression without interactions weighs infants by how uncertain their treatment was; AIPW averages over all of them. This sample happens to lie high, and every method says so: the regression's interval misses the truth by a hair, that of boosted trees, which have to learn straight lines from 1,500 rows, clearly.

# %%
from causalsem.report import plot_estimates

methods = (cs.Regression(), cs.IPW(), cs.AIPW(), cs.GBoost())
estimates = {"naive": cs.naive_effect(infants, adjust.query)}
estimates |= {type(m).__name__: cs.estimate_effect(infants, adjust, m, folds=5, seed=0) for m in methods}
plot_estimates(estimates, truth=float(effect.mean()))
# %% [markdown]
# ## For whom?
#
# The same question below and above the median birth weight.

# %%
small, large = (cs.estimate_effect(infants[part], adjust, cs.AIPW(), seed=0) for part in (weight < 0, weight >= 0))
print("small infants", small, "| truth", round(effect[weight < 0].mean(), 2))
print("large infants", large, "| truth", round(effect[weight >= 0].mean(), 2))

# %% [markdown]
# ## A diagnosis: why the clinic misleads
#
# In the clinic everyone has a fever. Flu and a bad tooth are independent among people, and exclude each other among those who came: fever is a collider. The graph says so before any data.

# %%
clinic = cs.CausalGraph.parse("flu -> fever; tooth -> fever; flu -> cough; cough -> sick_leave; fever -> sick_leave")
print(cs.m_separated(clinic, "flu", "tooth", []), cs.m_separated(clinic, "flu", "tooth", ["fever"]))
for name, why in cs.identify(clinic, ("flu", "sick_leave")).forbidden.items():
    print(f"never {name}: {why}")
print(cs.is_valid_adjustment(clinic, ("flu", "sick_leave"), {"fever"}, explain=True))
