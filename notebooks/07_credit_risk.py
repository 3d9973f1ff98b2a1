# %% [markdown]
# # The same steps elsewhere: credit risk
#
# Does a higher credit limit make people default? A bank gives high limits to those it trusts, who default less anyway. The data are simulated (true effect: nearly six percentage points more), the steps are those of the shop.

# %%
import numpy as np
import pandas as pd

import causalsem as cs

rng = np.random.default_rng(7)
n = 6000
income, age = rng.normal(size=(2, n))
score = 0.7 * income + 0.4 * age + 0.6 * rng.normal(size=n)
high_limit = (rng.random(n) < 1 / (1 + np.exp(-1.2 * score))).astype(float)
habit, luck = 0.1 * rng.normal(size=n) - 0.1 * income, rng.random(n)
use0, use1 = (np.clip(0.35 + 0.25 * high + habit, 0, 1) for high in (0, 1))
use = np.where(high_limit > 0, use1, use0)
risk, risk0, risk1 = (np.clip(0.12 + 0.24 * (used - 0.35) - 0.05 * score, 0.005, 0.9) for used in (use, use0, use1))
default = (luck < risk).astype(float)
calls = default + (rng.random(n) < 0.05)
loans = pd.DataFrame(
    {"income": income, "age": age, "score": score, "high_limit": high_limit, "use": use, "default": default, "calls": calls}
)
loans.groupby("high_limit")["default"].mean().round(4)

# %% [markdown]
# Read off the table, a high limit *lowers* default. Order what can cause what, and let the data find the arrows.

# %%
known = cs.Knowledge(tiers=[["income", "age"], ["score"], ["high_limit"], ["use"], ["default"], ["calls"]])
graph = cs.discover(cs.moments(loans), cs.GES(), knowledge=known)
stability = cs.bootstrap(loans, cs.GES(), knowledge=known, times=50, seed=0)
graph.plot(
    tiers={
        "person": ["income", "age"],
        "bureau": ["score"],
        "bank": ["high_limit"],
        "use": ["use"],
        "outcome": ["default"],
        "after": ["calls"],
    },
    stability=stability,
)
# %% [markdown]
# ## What to hold fixed
#
# The bureau's score drives both. How much of the limit is used is the way in which a limit works; calls from the collector come after the default.

# %%
adjust = cs.identify(graph, cs.Query("high_limit", "default"))
print(adjust)
for name, why in adjust.forbidden.items():
    print(f"  never {name}: {why}")

# %% [markdown]
# ## Naive, adjusted, and the truth
#
# The truth is known here: change the limit in the simulation and nothing else.

# %%
methods = {"naive": cs.naive_effect(loans, adjust.query)}
methods |= {type(m).__name__: cs.estimate_effect(loans, adjust, m, folds=5, seed=0) for m in (cs.Regression(), cs.IPW(), cs.AIPW())}
truth = (risk1 - risk0).mean().round(4)
pd.DataFrame({name: {"value": e.value, "low": e.interval[0], "high": e.interval[1]} for name, e in methods.items()}).T.round(4).assign(
    truth=truth
)

# %% [markdown]
# ## How strong would a hidden cause have to be?

# %%
print(cs.e_value(methods["AIPW"]))
cs.overlap(loans, adjust)
