"""What could make a study's answer wrong, each attempt as the report shows it, in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from causalsem.effects import EValue, Refutation, RobustnessValue
from causalsem.errors import SettingError
from causalsem.identify import class_effects, implied_independences
from causalsem.identify.implications import failing
from causalsem.report import Check

if TYPE_CHECKING:
    from causalsem.pipeline.study import Study

# A partial correlation below this is rejected only because rows are many; it is told, but fails nothing.
SLIGHT = 0.05
MOST_CLAIMS = 400
CHINESE_NAMES = {
    "placebo treatment": "安慰剂处理",
    "random common cause": "随机共同原因",
    "subset": "子样本",
    "negative control": "阴性对照",
}
# What the unseen folds of the outcome model chose: (English, Chinese), and whether it was kept, by the name of the gain.
CHOICES = {
    "correction": ("correction for exposure", "曝光校正"),
    "counterfactuals": ("counterfactual rows", "反事实样本"),
    "balance": ("balanced representation", "平衡表示"),
    "adversarial": ("adversarial training", "对抗训练"),
    "depth": ("depth", "深度部分"),
}
CHINESE_WORDS = {
    "placebo treatment": "把处理在各行之间随机打乱，其效应应为零",
    "random common cause": "额外调整一列随机噪声，结果不应改变",
    "subset": "只保留一部分样本，估计只应有随机差别",
    "negative control": "处理不可能改变这个结果，若有效应即是残余混杂",
}


def checks(study: Study) -> Iterator[Check]:
    """Yield every attempt to prove a study's answer wrong: refutations, sensitivity, what the graph implies, other graphs."""
    for value in study.checks:
        yield _refuted(value) if isinstance(value, Refutation) else _e_value(value) if isinstance(value, EValue) else _robustness(value)
    yield from _independences(study)
    yield from _equivalent(study)
    yield from _choices(study)


def _refuted(value: Refutation) -> Check:
    seen = f"{value.refuted.value:.4g} ± {value.refuted.se:.2g}"
    verdict = "as it should" if value.passed else f"but {value.expected:.4g} was expected: the method or the adjustment set is in doubt"
    chinese = "符合预期" if value.passed else f"预期为 {value.expected:.4g}：方法或调整集可疑"
    return Check(
        value.name,
        seen,
        value.passed,
        f"{value.words}; it came out at {seen}, {verdict}",
        CHINESE_NAMES.get(value.name, value.name),
        f"{CHINESE_WORDS.get(value.name, value.words)}；结果为 {seen}，{chinese}",
    )


def _e_value(value: EValue) -> Check:
    chinese = f"只有与处理和结果的风险比都不低于 {value.point:.3g}（区间 {value.limit:.3g}）的未测混杂，才能完全解释掉估计值"
    return Check("E-value", f"{value.point:,.2f}", None, str(value), "E 值", chinese)


def _robustness(value: RobustnessValue) -> Check:
    point, limit = f"{100 * value.point:.2g}", f"{100 * value.limit:.2g}"
    chinese = f"未测混杂须解释处理与结果剩余变异的 {point}%（区间 {limit}%），才能使估计归零"
    return Check("robustness value", f"{100 * value.point:.1f} %", None, str(value), "稳健值", chinese)


def _independences(study: Study) -> Iterator[Check]:
    """Yield how many of the independences that the graph implies the data, as discovery saw them, reject (Holm's correction)."""
    claims = implied_independences(study.graph, study.seen, limit=MOST_CLAIMS)
    if not claims:
        return
    rejected = failing(claims)
    result, names = f"{len(claims) - len(rejected)} of {len(claims)} hold", ("implied independences", "图所蕴含的独立性")
    if not rejected:
        words = ("the data reject none of the independences that the graph implies", "数据没有否定图所蕴含的任何独立性")
        yield Check(names[0], result, True, words[0], names[1], words[1])
        return
    worst = max(rejected, key=lambda claim: abs(claim.partial_correlation or 0.0))
    r = worst.partial_correlation or 0.0
    told = f"{worst.x} ⊥ {worst.y}" + (f" | {', '.join(worst.given)}" if worst.given else "")
    slight = abs(r) < SLIGHT
    english = f"the data reject {len(rejected)}; the largest: {told}, partial correlation {r:.3f}"
    english += ", slight" if slight else ": an arrow or a common cause is missing"
    chinese = f"数据否定了 {len(rejected)} 条；最大的一条：{told}，偏相关 {r:.3f}" + (
        "，程度轻微" if slight else "：可能缺少箭头或共同原因"
    )
    yield Check(names[0], result, None if slight else False, english, names[1], chinese)


def _equivalent(study: Study) -> Iterator[Check]:
    """Yield the linear effects that the equivalent graphs allow (IDA, Maathuis et al. 2009), where the class is one of DAGs."""
    if study.graph.kind not in ("DAG", "CPDAG", "MPDAG") or len(study.query.treatments) > 1:
        return
    try:
        effects = class_effects(study.graph, study.query, study.moments)
    except SettingError:
        yield Check(
            "equivalent graphs",
            "too many",
            None,
            "the class holds too many graphs to go through",
            "等价图",
            "等价类中的图过多，无法逐一计算",
        )
        return
    low, high = f"{effects.lower:.4g}", f"{effects.upper:.4g}"
    if effects.upper - effects.lower <= 1e-9 * max(abs(effects.upper), 1.0):
        words = (f"every graph of the class gives the same linear effect, {low}", f"等价类中每个图给出同一个线性效应 {low}")
        yield Check("equivalent graphs", "one effect", True, words[0], "等价图", words[1])
        return
    words = (
        f"graphs that fit as well differ in the arrows at the treatment; over them the linear effect runs from {low} to {high}",
        f"拟合同样好的图在处理处的箭头方向不同；线性效应在其间从 {low} 到 {high}",
    )
    agree = effects.lower * effects.upper > 0
    yield Check("equivalent graphs", f"{low} … {high}", None if agree else False, words[0], "等价图", words[1])


def _choices(study: Study) -> Iterator[Check]:
    """Yield what each choice of the outcome model gained on pairs it never saw, and whether it was kept."""
    model = study.model
    kept = {"correction": model.strength, "counterfactuals": model.counterfactual_weight}
    kept |= {"balance": model.balance_weight, "adversarial": model.adversarial_size, "depth": model.depth}
    for name, (gain, se) in model.gains.items():
        english, chinese = CHOICES[name]
        told = ("kept at strength", "采用，强度") if kept[name] else ("not kept: no sure gain", "未采用：没有可靠的改进")
        strength = f" {kept[name]:g}" if kept[name] else ""
        moves, chinese_moves = ("falls", "下降") if gain >= 0 else ("rises", "上升")
        words = f"the weighted error of the outcome model on unseen pairs {moves} by {abs(gain):.2g} ± {se:.2g}; {told[0]}{strength}"
        chinese_words = f"结果模型在未见样本上的加权误差{chinese_moves} {abs(gain):.2g} ± {se:.2g}；{told[1]}{strength}"
        if name == "balance":
            apart = " → ".join(f"{model.told_apart[w]:.2f} ({w:g})" for w in sorted(model.told_apart))
            words += f"; AUC of a fresh critic of who was treated, by weight: {apart}"
            chinese_words += f"；新判别器区分处理与否的 AUC（按权重）：{apart}"
        yield Check(english, f"{gain:+.2g} ± {se:.2g}", None, words, chinese, chinese_words)
