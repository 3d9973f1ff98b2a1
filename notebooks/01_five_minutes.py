# %% [markdown]
# # Five minutes with causalsem
#
# A small shop shows items to people, some of whom browse, cart, buy and review. Popular items are shown more, and so are active users, who buy more anyway: **exposure is confounded**. The shop is simulated, so at the end the answer can be held against the truth.

# %%
import causalsem as cs
from causalsem.datasets.shop import shop_file

log = cs.EventLog.read(shop_file("events.parquet"), user="user_id", item="item_id", behaviour="type", time="ts")
log

# %% [markdown]
# ## From events to moments
#
# One row per user, one column per behaviour. Columns of the file that never change within a user (age, activity) were found to be traits.

# %%
table = cs.behaviours(log, unit="user")
m = cs.moments(table)
table

# %% [markdown]
# ## A graph, and how sure each arrow is
#
# Tiers say what cannot cause what: nobody's purchase changes their age. `activity` stands in no tier, so its arrows are found by the data alone.

# %%
known = cs.Knowledge(tiers=[["age"], ["exposure"], ["browse"], ["cart"], ["buy"], ["review"]])
graph = cs.discover(m, cs.GES(), knowledge=known)
stab = cs.bootstrap(table, cs.GES(), knowledge=known, times=200, seed=0)
stab.table().head(12)

# %% [markdown]
# ## Path coefficients
#
# A structural equation model of that graph; columns and fit measures bear lavaan's names.

# %%
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", cs.errors.AssumptionWarning)  # said below: some directions are a choice
    fit = cs.fit_sem(graph, m)
fit.parameters.round(3)

# %%
fit.measures["cfi"], fit.effects("browse", "review").indirect

# %%
from IPython.display import SVG

SVG(cs.graph_svg(graph, tiers=known.tiers, fit=fit, stability=stab))

# %% [markdown]
# ## What to adjust for, and what never to

# %%
query = cs.Query("browse", "buy")
adjust = cs.identify(graph, query)
print(adjust)
for name, why in adjust.forbidden.items():
    print(f"  never {name}: {why}")
print(cs.adjustment_sets(graph, query, kind="minimal"))
print(cs.is_valid_adjustment(graph, query, {"age"}))

# %%
cs.estimate_effect(table, adjust, cs.AIPW(), folds=5, seed=0)

# %% [markdown]
# ## Debiased scores: every user with every item
#
# Here a row is a pair, and the question is what *showing* an item does. The item's traits join the graph; tiers follow the order of behaviours.

# %%
pairs = cs.behaviours(log, unit=("user", "item"))
pair_graph = cs.discover(pairs, "auto")  # within the tiers of the table
shown = cs.identify(pair_graph, cs.Query("exposure", "buy"))
print(shown)

# %%
naive = cs.naive_effect(pairs, shown.query)
debiased = cs.estimate_effect(pairs, shown, cs.AIPW(), folds=5, seed=0)
print("naive   ", naive)
print("debiased", debiased)
print("truth   ", round(cs.shop_truth().lift("buy"), 5))

# %%
model = cs.fit_outcome(pairs, shown, cs.TwoTower(), loss=cs.DR(), seed=0)
scores = cs.score(model, top=20)
scores

# %%
cs.rank_metrics(scores, pairs, k=(5, 10)).round(3)

# %% [markdown]
# Pairs that the list of twenty left out rank below it, so the AUC is that of the list, not of the model.

# %% [markdown]
# ## A policy learnt from logged rewards
#
# It learns on one half of the users and is valued on the other.

# %%
learn, judge = cs.LoggedFeedback.from_log(log).split(0.5, seed=0)
policy = cs.learn_policy(learn, cs.PolicyGradient(), reward=cs.Reward(browse=0.1, buy=1.0, review=0.5), seed=0)
cs.evaluate_policy(policy, judge, cs.DoublyRobust())

# %% [markdown]
# ## All of it in one call
#
# ```python
# study = cs.run(log, cs.Query("exposure", "buy"))
# study.report("report.html")
# ```
#
# The report is one offline page: the graph, the equations, the adjustment set with its reasons, overlap and balance, the effect, the ranking, the policy, and what could make all this wrong.
