# %% [markdown]
# # When not to believe it
#
# Every number here rests on a graph, and a graph can be wrong. Six ways in which a study goes astray, what each looks like, and what tells.

# %%
import numpy as np
import pandas as pd

import causalsem as cs

rng = np.random.default_rng(0)
n = 2000

# %% [markdown]
# ## 1. Somebody is missing from the table
#
# Taste moves both showing and buying; nobody logged it. The true effect is 0.5. No test on these three columns can see what is wrong: the data fit.

# %%
taste, age = rng.normal(size=(2, n))
shown = (taste + age + rng.normal(size=n) > 0).astype(float)
frame = pd.DataFrame({"age": age, "shown": shown, "buy": 0.5 * shown + taste + 0.3 * age + rng.normal(size=n)})
graph = cs.CausalGraph.parse("age -> shown; age -> buy; shown -> buy")
adjust = cs.identify(graph, cs.Query("shown", "buy"))
wrong = cs.estimate_effect(frame, adjust, cs.AIPW(), seed=0)
print(wrong, "| truth 0.5")
print(cs.e_value(wrong))
print(cs.robustness_value(frame, adjust))

# %% [markdown]
# A placebo passes too: shuffling the treatment breaks the tie to taste as well. It tells a broken method, never a missing cause.

# %%
cs.placebo_treatment(frame, adjust, seed=0, original=wrong)

# %% [markdown]
# Draw the cause that you fear, and the answer is honest.

# %%
feared = cs.CausalGraph.parse("age -> shown; age -> buy; shown -> buy; taste -> shown; taste -> buy", latent=["taste"])
try:
    cs.identify(feared, cs.Query("shown", "buy"))
except cs.errors.NotIdentifiedError as error:
    print(error)

# %% [markdown]
# ## 2. Too much was held fixed
#
# Adjusting for the cart looks careful and removes the very effect that was asked for.

# %%
chain = cs.CausalGraph.parse("shown -> cart; cart -> buy")
try:
    cs.identify(chain, cs.Query("shown", "buy")).require_allowed(["cart"])
except cs.errors.ForbiddenVariableError as error:
    print(error)

# %% [markdown]
# ## 3. The graph came from too few rows
#
# The same world, 60 rows and 2,000: the share of resamples in which each arrow comes back.

# %%
world = cs.linear_sem(cs.CausalGraph.parse("a -> b; b -> c; c -> d; b -> d"), n=2000, seed=2)
few, many = (cs.bootstrap(world.frame[:rows], cs.GES(), times=40, seed=0) for rows in (60, 2000))
pairs = [(a, b) for a, b, *_ in world.graph.edges]
pd.DataFrame({name: [stab.frequency(*pair) for pair in pairs] for name, stab in (("60 rows", few), ("2000 rows", many))}, index=pairs)

# %% [markdown]
# ## 4. Other graphs fit as well
#
# Data alone leave directions open. Over all graphs of the class the effect of a on d is not one number.

# %%
found = cs.discover(world.frame, cs.GES())
print(found)
print(cs.class_effects(found, cs.Query("a", "d"), cs.moments(world.frame)), "| truth", round(world.effect("a", "d"), 3))

# %% [markdown]
# ## 5. A testable claim fails
#
# A graph says which variables are independent given which. Leave an arrow out, and the data answer back.

# %%
short = cs.CausalGraph.parse("a -> b; b -> c; c -> d")
for claim in cs.implied_independences(short, cs.moments(world.frame)):
    print(claim)

# %% [markdown]
# ## 6. There is nobody to compare with
#
# Where everyone above a score was shown the item, no method can know what would have been.

# %%
always = frame.assign(shown=(frame["age"] > 0).astype(float))
try:
    cs.estimate_effect(always, adjust, cs.AIPW(), seed=0)
except cs.errors.OverlapError as error:
    print(error)

# %% [markdown]
# What remains after all six: a randomised test. The report of every study ends with that sentence.
