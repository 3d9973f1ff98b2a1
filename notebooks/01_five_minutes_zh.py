# %% [markdown]
# # 五分钟上手 causalsem
#
# 一家小店向用户展示商品，有人浏览、加购、购买、评价。热门商品展示得更多，活跃用户也被展示得更多，而他们本来就更爱购买：**曝光受到混杂**。数据是模拟的，所以最后可以拿真值来对照。变量名一律用中文。

# %%
import causalsem as cs

names = {"exposure": "曝光", "browse": "浏览", "cart": "加购", "favourite": "收藏", "buy": "购买", "review": "评价"}
traits = {"age": "年龄", "activity": "活跃度", "popularity": "热度", "price": "价格", "quality": "质量"}
world = cs.simulate_shop(users=1000, items=60, seed=0)
events = world.log_frame.rename(columns=traits).assign(type=lambda frame: frame["type"].map(names))
log = cs.EventLog.from_frame(events, user="user_id", item="item_id", behaviour="type", time="ts")
log

# %% [markdown]
# ## 从事件到行为表
#
# 每行一个“用户 × 商品”，每列一种行为；从未展示过的组合也在表中，否则没有可比的对象。

# %%
pairs = cs.behaviours(log, unit=("user", "item"))
m = cs.moments(pairs)
pairs.tiers

# %% [markdown]
# ## 因果图，以及每个箭头有多可靠
#
# 层次说明谁不可能影响谁：购买不会改变年龄。虚线表示在不到 70% 的自助样本中出现的箭头。

# %%
known = cs.Knowledge(tiers=pairs.tiers)
graph = cs.discover(m, cs.GES(), knowledge=known)
stability = cs.bootstrap(pairs, cs.GES(), knowledge=known, times=20, seed=0)
graph.plot(
    tiers={"特征": pairs.tiers[0], "曝光": ["曝光"], "浏览": ["浏览"], "加购 · 收藏": ["加购", "收藏"], "购买": ["购买"], "评价": ["评价"]},
    stability=stability,
)
# %% [markdown]
# ## 结构方程：路径系数
#
# 列名与拟合指标沿用 lavaan 的叫法。

# %%
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", cs.errors.AssumptionWarning)  # 同一层内有些方向数据无法决定
    fit = cs.fit_sem(graph, pairs)  # 标准误按用户和物品聚类
print(round(fit.measures["cfi"], 3), round(fit.measures["rmsea"], 3))
fit.effects("曝光", "购买")

# %% [markdown]
# ## 该调整什么，不该调整什么

# %%
adjust = cs.identify(graph, cs.Query("曝光", "购买"))
print(adjust)
for name, why in adjust.forbidden.items():
    print(f"  不可调整 {name}：{why}")

# %% [markdown]
# ## 未调整、去偏与真值

# %%
print("未调整", cs.naive_effect(pairs, adjust.query))
print("去偏  ", cs.estimate_effect(pairs, adjust, cs.AIPW(), folds=5, seed=0))
print("真值  ", round(world.truth.lift("buy"), 5))

# %% [markdown]
# ## 去偏的推荐得分
#
# 深度结果模型只使用上面识别出的调整集；`lift` 是展示与不展示之差。

# %%
model = cs.fit_outcome(pairs, adjust, cs.TwoTower(), loss=cs.DR(), epochs=3, seed=0)
scores = cs.score(model, top=20)
scores

# %% [markdown]
# ## 一次调用完成全部步骤
#
# ```python
# study = cs.run(log, cs.Query("曝光", "购买"))
# study.report("report.html", language="zh")
# ```
#
# 或者在命令行：`causalsem report study.toml --language zh`。报告是一个离线网页：因果图、方程、调整集及其理由、重叠与平衡、效应、排序、策略，以及什么会推翻结论。
