"""The report as one HTML file."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import string
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError
from lxml import html

import causalsem as cs
from causalsem.effects.estimate import Estimate
from causalsem.errors import DataError, FileError, SettingError, UnknownNameError
from causalsem.graph import CausalGraph
from causalsem.identify import NullEffect, Query
from causalsem.report import Findings, explore, graph_html, page, report_html, sections, write_report
from causalsem.report.text import shown_name
from causalsem.report.words import table

SECTIONS = [
    "graph",
    "arrows",
    "sem",
    "effects",
    "adjustment",
    "overlap",
    "estimates",
    "ranking",
    "policy",
    "wrong",
    "assumptions",
    "repeat",
]
CHINESE = {"exposure": "曝光", "browse": "浏览", "cart": "加购", "buy": "购买", "review": "评价", "age": "年龄", "traits": "用户特征"}


@pytest.fixture(scope="module")
def english(make_findings) -> str:
    return report_html(make_findings())


def text_in(page_text: str, language: str, section: str | None = None) -> str:
    """Return what a reader of one language sees, white space collapsed."""
    root = html.fromstring(page_text)
    part = root if section is None else root.get_element_by_id(section)
    other = {"en": "zh", "zh": "en"}[language]
    for hidden in [*part.xpath(f'.//*[@lang="{other}"]'), *part.xpath(".//script|.//style|.//template|.//svg")]:
        hidden.drop_tree()
    said = re.sub(r" ([.,;:])", r"\1", " ".join(" ".join(part.itertext()).split()))
    return said if language == "en" else said.replace(" ", "")


def test_every_section_is_there_and_none_is_empty(english):
    root = html.fromstring(english)
    assert [s.get("id") for s in root.iter("section")] == SECTIONS
    for section in SECTIONS:
        assert len(text_in(english, "en", section)) > 80, section
    assert "Not part of this study" not in text_in(english, "en")


def test_the_answer_says_effect_interval_naive_number_and_truth(english):
    answer = " ".join(html.fromstring(english).find_class("answer")[0].text_content().split())
    assert "the data are consistent with a positive effect of exposure on buy: 0.390 per unit" in answer
    assert "The naive number (0.620) is 59 % higher." in answer
    assert "The true value of these simulated data is 0.380, inside the interval." in answer


def test_a_naive_number_like_the_answer_is_told_without_a_share_of_zero(make_findings):
    given = {"treatments": ("exposure",), "outcome": "buy"}
    estimates = {"naive": Estimate(0.3901, se=0.02, n=900, **given), "debiased": Estimate(0.39, se=0.02, n=900, **given)}
    answer = " ".join(html.fromstring(report_html(make_findings(estimates=estimates))).find_class("answer")[0].text_content().split())
    assert "The naive number is 0.390." in answer
    assert " 0 %" not in answer


def test_the_path_coefficients_leave_out_what_is_fixed_at_zero(make_findings):
    graph = CausalGraph.parse("exposure -> buy; age")
    moments = cs.Moments.from_covariance(np.eye(3) + 0.3, 500, ["exposure", "buy", "age"])
    fit = cs.fit_sem(graph, moments)
    zero = fit.parameters.query("op == '~' and est == 0 and se == 0")
    assert len(zero) > 0
    assert "(1)" in text_in(report_html(make_findings(fit=fit)), "en", "sem")


def test_six_cards_tell_effect_stability_fit_overlap_checks_and_policy(english):
    cards = html.fromstring(english).find_class("cards")[0]
    values = [card.find("b").text_content() for card in cards]
    assert len(values) == 6
    assert values[0] == "0.390"
    assert values[1].startswith("10 of 11")
    assert "good" in values[2]
    assert values[4] == "E = 1.72"


def test_the_answer_says_by_which_way_and_what_adjusting_takes_out(english, make_findings):
    answer = " ".join(html.fromstring(english).find_class("answer")[0].text_content().split())
    effects = make_findings().fit.effects("exposure", "buy")
    assert f"{100 * effects.indirect.value / effects.total.value:.0f} % of it is indirect, most by way of browse → cart." in answer
    assert "The graph ties activity, age to both" in answer


def test_the_model_is_drawn_with_its_estimates_and_explained_variance(english, make_findings):
    drawn = html.fromstring(english).get_element_by_id("sem").xpath('.//*[name()="svg"]')[0]
    told = set(drawn.xpath('.//*[name()="text"]/text()'))
    fit = make_findings().fit
    assert {f"R² {share:.2f}" for share in fit.r2.values()} <= told
    assert {"traits", "exposure", "browse", "cart", "buy"} <= told


def test_forced_and_found_arrows_are_told_apart(english):
    words = text_in(english, "en", "arrows")
    forced, found = words.split("direction found in the data")
    assert "exposure → browse" in forced
    assert "age → activity" in found
    assert "exposure → browse" not in found


def test_forbidden_variables_are_named_with_their_reasons(english):
    words = text_in(english, "en", "adjustment")
    assert "browse mediator: on a causal path exposure → browse → cart → buy" in words
    assert "review descendant of the outcome buy: buy → review" in words
    assert "activity common cause: leads to exposure (activity → exposure)" in words


def test_effects_are_shown_path_by_path(english, make_findings):
    words = text_in(english, "en", "effects")
    effects = make_findings().fit.effects("exposure", "buy")
    assert f"total {effects.total.value:.3f}" in words
    assert "exposure → browse → cart → buy" in words


def test_the_page_is_small_and_loads_nothing(english):
    assert len(english.encode()) < 150_000
    markup = english.split("<script>")[0]
    assert not re.findall(r"""\s(?:src|href|action|data|srcset|poster)\s*=|url\((?!data:)|@import""", markup)
    assert set(re.findall(r"https?://[^\s\"'<]+", english)) <= {"http://www.w3.org/2000/svg"}
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', english).group(1)
    assert "default-src 'none'" in policy


def test_the_only_script_is_the_one_the_policy_allows(english):
    scripts = re.findall(r"<script>(.*?)</script>", english, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert f"'sha256-{digest}'" in html.fromstring(english.replace("&#39;", "'")).xpath("//meta/@content")[0]
    assert not re.search(r"\son\w+=", english.split("<body>")[1].split("<script>")[0])


def test_the_page_reads_without_script(english):
    root = html.fromstring(english)
    assert "js" not in (root.get("class") or "")
    assert ".tools{display:none" in english
    assert len(root.xpath('//*[name()="svg"]//*[contains(@class,"node")]')) == 9


def test_every_nasty_name_is_escaped_everywhere(make_findings, nasty_names):
    old = ["age", "activity", "price", "exposure", "browse", "dwell", "cart", "buy", "review", "traits", "item 0"]
    plain = report_html(make_findings())
    for start in range(0, len(nasty_names), len(old)):
        rename = dict(zip(old, nasty_names[start : start + len(old)], strict=False))
        found = make_findings(rename, title=nasty_names[start], code="</code><script>alert(1)</script>\x00")
        text = report_html(found)
        root = html.fromstring(text)
        assert [script.get("type") for script in root.xpath("//script")] == ["application/json", None]
        assert not root.xpath("//img|//*[@onerror]|//*[@onload]")
        assert [s.get("id") for s in root.iter("section")] == SECTIONS
        assert len(root.xpath("//b")) - len(html.fromstring(plain).xpath("//b")) in range(-3, 4)
        for name in found.graph.nodes:
            assert shown_name(name) in [" ".join(t.split()) for t in root.xpath('//*[name()="svg"]//*[name()="title"]/text()')], name


def test_the_html_is_well_formed_in_both_languages(make_findings):
    for language in ("en", "zh"):
        text = report_html(make_findings(CHINESE), language=language)
        opened = re.findall(
            r"<(div|p|ul|li|table|tr|td|th|section|span|b|details|svg|g|header|main|pre|code|dl|dt|dd|h[123])\b(?![^>]*/>)", text
        )
        closed = re.findall(r"</(\w+)>", text)
        assert all(opened.count(tag) == closed.count(tag) for tag in set(opened)), {
            t: (opened.count(t), closed.count(t)) for t in set(opened)
        }


def test_a_chinese_page_speaks_chinese_and_embeds_its_glyphs(make_findings):
    text = report_html(make_findings(CHINESE), language="zh")
    seen = text_in(text, "zh")
    assert "一句话结论" in seen
    assert "数据与“曝光对购买有正效应”相一致" in seen
    assert "中介变量：位于因果路径曝光→浏览→加购→购买上" in seen
    assert not re.search(r"the|and|with|effect", text_in(text, "zh", "graph"))
    assert {f"U+{ord(c):X}" for c in "浏览购买"} <= embedded(text)
    assert len(text.encode()) < 150_000


def embedded(page_text: str) -> set[str]:
    """Return the characters of the embedded font."""
    return set(page_text.split("unicode-range:")[1].split("}", maxsplit=1)[0].split(","))


def test_a_short_chinese_page_embeds_the_glyphs_of_its_own_words_too():
    graph = CausalGraph.parse("浏览 -> 购买")
    text = report_html(Findings(title="短", query=Query("浏览", "购买"), graph=graph, settings={}), language="zh")
    assert {f"U+{ord(c):X}" for c in "浏览购买重叠假设"} <= embedded(text)
    assert len(text.encode()) < 150_000


def test_an_english_page_embeds_only_the_glyphs_of_names(make_findings, english):
    assert "@font-face" not in english
    assert embedded(report_html(make_findings(CHINESE))) == {f"U+{ord(c):X}" for c in "".join(CHINESE.values())}


def test_a_study_of_a_graph_alone_says_what_it_lacks():
    graph = CausalGraph.parse("a -> b; b <-> c")
    text = report_html(Findings(title="bare", query=Query("a", "b"), graph=graph, settings={}))
    words = text_in(text, "en")
    assert words.count("Not part of this study") == 8
    assert "No effect was estimated" in words


def test_no_effect_in_the_graph_is_told_as_such():
    graph = CausalGraph.parse("a <- b; c")
    null = NullEffect(Query("a", "b"), "no path", graph)
    text = report_html(Findings(title="null", query=Query("a", "b"), graph=graph, settings={}, adjustment=null))
    assert "read off the graph, the effect is zero" in text_in(text, "en")


def test_an_interval_that_holds_zero_is_consistent_with_no_effect(make_findings):
    found = make_findings()
    weak = {"naive": found.estimates["naive"], "debiased": Estimate(0.01, found.estimates["debiased"].psi)}
    assert "consistent with no effect of exposure on buy" in text_in(report_html(make_findings(estimates=weak)), "en")


def test_the_report_never_claims_more_than_consistency(english):
    words = text_in(english, "en").casefold()
    for claim in (" causes buy", "exposure causes", "proves that", "is the cause of", "leads people"):
        assert claim not in words
    assert "consistent with" in words


def test_equal_findings_give_equal_bytes(make_findings):
    assert report_html(make_findings(CHINESE)) == report_html(make_findings(CHINESE))


def test_writing_is_whole_and_a_missing_folder_is_named(make_findings, tmp_path):
    path = write_report(make_findings(), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(FileError, match="does not exist; make it first"):
        write_report(make_findings(), tmp_path / "no" / "report.html")


def test_bad_input_is_answered_with_the_cure(make_findings):
    with pytest.raises(SettingError, match="use 'en' or 'zh'"):
        report_html(make_findings(), language="de")
    with pytest.raises(DataError, match="lacks columns"):
        make_findings(ranking=pd.DataFrame({"item": ["a"]}))
    with pytest.raises(UnknownNameError, match="did you mean 'buy'"):
        Findings(title="x", query=Query("a", "by"), graph=CausalGraph.parse("a -> buy"), settings={})


def test_both_languages_fill_the_same_places():
    for key, (english_words, chinese) in table()["words"].items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(words) if name} for words in (english_words, chinese)]
        assert fields[0] == fields[1], key
        assert re.findall(r"</?b>", english_words) == re.findall(r"</?b>", chinese) or key.endswith("answer"), key


def test_every_word_of_the_table_is_said_somewhere():
    folder = Path(page.__file__).parent
    sources = "".join(f.read_text(encoding="utf-8") for f in [*folder.glob("*.py"), *folder.glob("templates/*")])
    verdicts = {"sem_good", "sem_acceptable", "sem_poor", "sem_saturated", *(f"size_{key}" for key in sections.SIZES)}
    assert [key for key in table()["words"] if key not in verdicts and not re.search(rf"[\"'.]{key}\b", sources)] == []


def test_an_unknown_name_in_a_template_is_an_error():
    with pytest.raises(UndefinedError):
        page._environment().from_string("{{ nobody }}").render()


def test_an_interactive_graph_stands_alone_and_in_a_sandboxed_frame(make_findings):
    found = make_findings(CHINESE)
    card = explore(found.graph, tiers=found.tiers, fit=found.fit, stability=found.stability, adjustment=found.adjustment, title="<b>")
    root = html.fromstring(card.page)
    assert root.get_element_by_id("mark") is not None
    assert root.find(".//h1").text == "<b>"
    asked = [root.xpath(f'//select[@id="{which}"]/option[@selected]/text()')[0] for which in ("treatment", "outcome")]
    assert asked == ["曝光", "购买"]
    frame = html.fromstring(card._repr_html_())
    assert (frame.tag, frame.get("sandbox"), frame.get("srcdoc")) == ("iframe", "allow-scripts allow-downloads", card.page)


def test_a_graph_of_one_variable_has_nothing_to_ask():
    assert 'id="mark"' not in graph_html(CausalGraph.parse("a"))
    page_text = graph_html(CausalGraph.parse("a -> b"))
    assert 'id="mark"' in page_text
    assert "undecided" not in text_in(page_text, "en")


def test_a_full_report_on_a_large_graph_stays_below_the_limit(large_findings):
    for language in ("en", "zh"):
        assert len(report_html(large_findings, language=language).encode()) < 150_000


def test_the_set_and_the_scales_of_discovery_are_said_in_the_language_of_the_page(make_findings):
    forms = {"age": "log", "price": "log", "buy": "hurdle", "browse": "plain"}
    graph = make_findings().graph.with_provenance(auto={"method": "BOSS", "forms": forms})
    root = report_html(dataclasses.replace(make_findings(), graph=graph), language="zh")
    assert "按广义调整准则得到的有效调整集（方差最小）" in text_in(root, "zh", "adjustment")
    assert "generalized" not in text_in(root, "zh", "adjustment")
    assert "age,price:取log(1+x);buy:拆成“有无”与“多少”" in text_in(root, "zh", "sem")
    assert "(age, price: as log(1 + x); buy: as whether and how much)" in text_in(root, "en", "sem")


def test_columns_as_they_are_need_no_word_on_scales(make_findings):
    graph = make_findings().graph.with_provenance(auto={"forms": dict.fromkeys(make_findings().graph.nodes, "plain")})
    assert "another scale" not in report_html(dataclasses.replace(make_findings(), graph=graph))
