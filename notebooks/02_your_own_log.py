# %% [markdown]
# # Your own log
#
# Any table with one row per event will do: a user, an item, the name of a behaviour, a time. This one has other column names, Chinese behaviours, a repeated row, a missing user and a time that cannot be read.

# %%
import tempfile
from pathlib import Path

import causalsem as cs

folder = Path(tempfile.mkdtemp())
raw = cs.simulate_shop(users=400, items=40, seed=1).log_frame
raw["type"] = raw["type"].map({"exposure": "曝光", "browse": "浏览", "cart": "加购", "favourite": "收藏", "buy": "购买", "review": "评价"})
raw = raw.rename(columns={"user_id": "uid", "item_id": "sku", "type": "行为", "ts": "at"}).astype({"at": str})
raw.loc[len(raw)] = raw.loc[0]
raw.loc[5, "uid"], raw.loc[6, "at"] = None, "soon"
raw.to_csv(folder / "events.csv", index=False)
raw.head(3)

# %% [markdown]
# ## Read it
#
# What cannot be used is dropped, counted and said once. Names of behaviours are known in English and in Chinese, and stay as they are.

# %%
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", cs.errors.DataWarning)  # the counts are printed below
    log = cs.EventLog.read(folder / "events.csv", user="uid", item="sku", behaviour="行为", time="at")
print(log.cleaning)
log

# %% [markdown]
# A name that nobody knows is answered with the nearest one.

# %%
try:
    cs.EventLog.read(folder / "events.csv", user="uid", item="skuu", behaviour="行为", time="at")
except cs.errors.UnknownNameError as error:
    print(str(error).replace(str(folder), "…"))

# %% [markdown]
# ## Users, or pairs of user and item?
#
# People differ in how much they browse and buy: one row per user. What showing *this* item to *this* person does: one row per pair, those never shown included.

# %%
table = cs.behaviours(log, unit="user")
pairs = cs.behaviours(log, unit=("user", "item"))
print(table)
print(pairs)
pairs.tiers

# %% [markdown]
# ## Say what you know, and let the data say the rest
#
# The table proposes tiers: traits, then exposure, then each behaviour in its order. Write your own where you know better; a required or a forbidden arrow is a pair.

# %%
known = cs.Knowledge(tiers=pairs.tiers, forbidden=[("price", "评价")])
graph = cs.discover(cs.moments(pairs), cs.GES(), knowledge=known)
stability = cs.bootstrap(pairs, cs.GES(), knowledge=known, times=20, seed=0)
graph.plot(tiers=known.tiers, stability=stability)
# %% [markdown]
# Drag the slider, click a variable, or choose a treatment and an outcome: the page is one file and asks nothing of any server.

# %%
cs.explore(graph, tiers=known.tiers, stability=stability)

# %% [markdown]
# ## The effect of showing an item
#
# Only what comes before the showing may be held fixed; `forbidden` tells why the others may not.

# %%
adjust = cs.identify(graph, cs.Query("曝光", "购买"), allowed=["age", "activity", "popularity", "price", "quality"])
print(adjust)
naive, debiased = cs.naive_effect(pairs, adjust.query), cs.estimate_effect(pairs, adjust, cs.AIPW(), seed=0)
print("naive   ", naive)
print("debiased", debiased)
dict(adjust.forbidden)

# %% [markdown]
# ## One file for all of it
#
# The same study for the command line: `causalsem report study.toml -o study/`. A misspelt key is answered with what is known.

# %%
(folder / "study.toml").write_text(
    """
[log]
path = "events.csv"
user = "uid"
item = "sku"
behaviour = "行为"
time = "at"

[query]
treatment = "曝光"
outcome = "购买"

[recipe]
fold = 5
""",
    encoding="utf-8",
)
try:
    cs.StudyFile.load(folder / "study.toml")
except cs.errors.SettingError as error:
    print(str(error).replace(str(folder), "…"))
