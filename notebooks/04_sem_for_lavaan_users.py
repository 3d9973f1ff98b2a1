# %% [markdown]
# # Structural equations, for those who know lavaan
#
# The syntax, the column names and the fit measures are lavaan's. What is added: a graph beside every model, effects path by path, and the question which of these numbers may be read as effects.

# %%
import numpy as np
import pandas as pd

import causalsem as cs

rng = np.random.default_rng(3)
n = 800
trust = rng.normal(size=n)
browse = 0.6 * trust + rng.normal(size=n)
cart = 0.5 * browse + rng.normal(size=n)
buy = 0.4 * cart + 0.2 * browse + 0.3 * trust + rng.normal(size=n)
answers = {f"q{k}": load * trust + rng.normal(size=n) for k, load in enumerate((1.0, 0.8, 0.7), start=1)}
data = pd.DataFrame({**answers, "browse": browse, "cart": cart, "buy": buy})
data.head(3).round(2)

# %% [markdown]
# ## Measurement, regressions, labels, a defined parameter

# %%
model = """
trust =~ q1 + q2 + q3      # a latent variable and what measures it
browse ~ trust
cart ~ b*browse
buy ~ c*cart + d*browse + trust
indirect := b*c
total := b*c + d
"""
fit = cs.fit_sem(model, cs.moments(data))
fit

# %% [markdown]
# `parameters` is lavaan's `parameterEstimates`, with the standardised solution beside it.

# %%
fit.parameters[["lhs", "op", "rhs", "label", "est", "se", "z", "pvalue", "std_all"]].round(3)

# %%
pd.Series(fit.measures)[["chisq", "df", "pvalue", "cfi", "tli", "rmsea", "srmr", "aic", "bic"]].round(3)

# %% [markdown]
# ## The model is a graph

# %%
fit.graph.plot(fit=fit, tiers=[["trust"], ["q1", "q2", "q3", "browse"], ["cart"], ["buy"]])
# %% [markdown]
# ## Mediation
#
# Total, direct and indirect effect of browsing on buying, and each path on its own. The delta method gives the intervals; a bootstrap agrees, and needs no normal distribution of a product.

# %%
effects = fit.effects("browse", "buy")
effects

# %%
again = cs.fit_sem(model, data).bootstrap(times=300, seed=0)
again

# %% [markdown]
# ## A simpler model, and what it misses
#
# Leave out the path from trust to buying, and χ² says how much worse the correlations are reproduced.

# %%
simpler = cs.fit_sem(model.replace("d*browse + trust", "d*browse"), cs.moments(data))
cs.compare(fit, simpler).round(3)

# %%
simpler.modification_indices(4).round(2)

# %% [markdown]
# ## Which coefficient is an effect?
#
# Good fit does not make a path an effect: equivalent models fit as well. Ask the graph. With trust unmeasured but for its three answers, no set of measured variables blocks every back door, and the answer says which path is left.

# %%
try:
    print(cs.identify(fit.graph, cs.Query("browse", "buy")))
except cs.errors.NotIdentifiedError as error:
    print(error)

# %% [markdown]
# Had trust been seen, it would be the one thing to hold fixed. And `fit.to_lavaan()` hands the model to R.

# %%
print(cs.identify(cs.CausalGraph.parse("trust -> browse; browse -> cart; cart -> buy; browse -> buy; trust -> buy"), ("browse", "buy")))
print(fit.to_lavaan())
