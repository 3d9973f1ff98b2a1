"""Text for other programs says the same model: read back, it fits with the same χ² on the same degrees of freedom."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from causalsem.errors import CycleError, SettingError, UnknownNameError
from causalsem.graph import CausalGraph, from_dagitty
from causalsem.sem import export_model, fit_sem


def rows(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ad, taste = rng.normal(size=n), rng.normal(size=n)
    frame = {"ad": ad, **{f"x{k}": taste + rng.normal(size=n) for k in (1, 2, 3)}}
    want = 0.5 * taste + 0.4 * ad + rng.normal(size=n)
    frame |= {"y 1": want + rng.normal(size=n), "购买": 0.8 * want + rng.normal(size=n), "Review_of_items": want + rng.normal(size=n)}
    return pd.DataFrame(frame)


MODELS = {
    "path": ("x2 ~ a*x1 + ad\nx3 ~ b*x2\nx2 ~~ x3\nind := a*b", "sem"),
    "dag": ("x2 ~ x1 + ad\nx3 ~ x2\n购买 ~ x1", "dag"),
    "sinks": ("x2 ~ ad\nx3 ~ ad\n购买 ~ ad", "sem"),
    "factors": ("taste =~ x1 + x2 + x3\nwant =~ `y 1` + k*购买 + k*Review_of_items\nwant ~ taste + ad\nx1 ~~ 0.1*x2", "sem"),
    "apart": ("taste =~ x1 + x2 + x3\nwant =~ `y 1` + 购买 + Review_of_items\ntaste ~~ 0*want", "cfa"),
}


def same(text: str, model: str, preset: str, names: dict[str, str]) -> None:
    """Assert that text (in lavaan's syntax, with its own names) fits the model's data as the model does."""
    want = fit_sem(model, rows(), preset=preset)
    got = fit_sem(text, rows().rename(columns=names), preset="lavaan")
    assert got.measures["df"] == want.measures["df"]
    assert got.measures["chisq"] == pytest.approx(want.measures["chisq"], abs=1e-6)
    assert got.measures["npar"] == want.measures["npar"]


def replaced(text: str, comment: str) -> dict[str, str]:
    """Return {own name: name in the text} from the comments at its head."""
    return {old: new for new, old in re.findall(rf"^{comment} (v\d+) = (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("key", MODELS)
def test_lavaan_text_is_the_same_model(key: str) -> None:
    model, preset = MODELS[key]
    same(export_model(model, "lavaan", preset=preset), model, preset, {})
    assert export_model(model, "lavaan", preset=preset) == fit_sem(model, rows(), preset=preset).to_lavaan()


@pytest.mark.parametrize("key", MODELS)
def test_semopy_text_is_the_same_model(key: str) -> None:
    # semopy's syntax is a part of lavaan's.
    model, preset = MODELS[key]
    text = fit_sem(model, rows(), preset=preset).to_semopy()
    same(text, model, preset, replaced(text, "#"))


@pytest.mark.parametrize("key", ["path", "dag", "factors"])
def test_semopy_reads_its_text(key: str) -> None:
    semopy = pytest.importorskip("semopy", reason="needs semopy: pip install semopy")
    model, preset = MODELS[key]
    fit = fit_sem(model, rows(), preset=preset)
    text = fit.to_semopy()
    other = semopy.Model(text)
    names = replaced(text, "#")
    frame = rows().rename(columns=names)
    # semopy frees the covariances of exogenous causes with the rest unless told; the parameters of the text are ours.
    other.load(frame[[names.get(n, n) for n in fit.samples[0].names]])
    told = other.inspect()
    free = told[~told["Estimate"].isna()] if "Estimate" in told else told
    assert {"x1", "x2"} & set(free["lval"]) | set(free["rval"])
    loadings = [r for r in fit.table.rows if r.op == "=~"]
    assert len(told[(told["op"] == "~")]) == len(loadings) + sum(r.op == "~" for r in fit.table.rows)


def read_mplus(text: str) -> str:
    """Return lavaan text of an Mplus input as we write it (one parameter a line)."""
    lines, section = [], ""
    for raw in text.splitlines():
        line = raw.split("!")[0].strip().rstrip(";")
        if not line:
            continue
        if line in ("MODEL:", "MODEL CONSTRAINT:", "ANALYSIS:"):
            section = line
        elif section == "MODEL:":
            match = re.fullmatch(r"(?:\[(\w+)|(\w+)(?: (BY|ON|WITH) (\w+))?)(\*|@\S+?)\]?(?: \((p\d+)\))?", line)
            assert match, line
            mean, lhs, op, rhs, value, label = match.groups()
            modifier = f"{value[1:]}*" if value.startswith("@") else f"{label}*" if label else ""
            if mean:
                lines.append(f"{mean} ~ {modifier}1")
            else:
                lines.append(f"{lhs} {({'BY': '=~', 'ON': '~', 'WITH': '~~'})[op] if op else '~~'} {modifier}{rhs or lhs}")
        elif section == "MODEL CONSTRAINT:" and "NEW" not in line:
            left, sign, right = re.fullmatch(r"(.*?) (=|<|>) (.*)", line).groups()  # type: ignore[union-attr]
            lines.append(f"{left} {':=' if left.startswith('d') else '==' if sign == '=' else sign} {right.replace('**', '^')}")
    return "\n".join(lines)


@pytest.mark.parametrize("key", MODELS)
@pytest.mark.parametrize("means", [False, True])
def test_mplus_text_is_the_same_model(key: str, means: bool) -> None:
    model, preset = MODELS[key]
    fit = fit_sem(model, rows(), preset=preset, meanstructure=means)
    text = fit.to_mplus()
    names = replaced(text, "!")
    got = fit_sem(read_mplus(text), rows().rename(columns=names), preset="lavaan", meanstructure=means)
    assert got.measures["df"] == fit.measures["df"]
    assert got.measures["chisq"] == pytest.approx(fit.measures["chisq"], abs=1e-6)
    assert [d[1] for d in got.defined] == pytest.approx([d[1] for d in fit.defined])
    assert max(map(len, text.splitlines())) <= 90
    assert f"NAMES ARE {names.get(fit.samples[0].names[0], fit.samples[0].names[0])} " in text


def test_mplus_leaves_no_default_to_itself() -> None:
    # Mplus would let the errors of last variables, and factors, covary.
    text = export_model(MODELS["sinks"][0], "mplus", preset="dag")
    assert text.count("@0;") == 3
    assert "taste WITH want@0;" in export_model("taste =~ x1 + x2 + x3\nwant =~ a + b + c", "mplus", preset="cfa", orthogonal=True)


@pytest.mark.parametrize("key", ["path", "dag", "factors"])
def test_dagitty_text_is_the_models_graph(key: str) -> None:
    model, preset = MODELS[key]
    fit = fit_sem(model, rows(), preset=preset)
    if key == "path":
        # An arrow and a bidirected edge between the same two: dagitty has both, a CausalGraph holds one.
        assert '"x3" <-> "x2"' in fit.to_dagitty() or '"x2" <-> "x3"' in fit.to_dagitty()
        return
    assert from_dagitty(fit.to_dagitty()) == fit.graph
    assert 'beta="' in fit.to_dagitty()


def test_a_graph_is_exported_like_its_model() -> None:
    graph = CausalGraph.parse("ad -> browse; browse -> buy; browse <-> cart; cart -> buy")
    assert from_dagitty(export_model(graph, "dagitty")) == graph
    assert "browse WITH cart*;" in export_model(graph, "mplus")


def test_what_a_program_has_no_words_for_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mplus'"):
        export_model("a ~ b", "Mplus7")
    with pytest.raises(SettingError, match="constraints"):
        export_model("a ~ k*b\nk > 0", "semopy")
    with pytest.raises(SettingError, match="bounds"):
        export_model("a ~ lower(0)*b", "mplus")
    with pytest.raises(SettingError, match="tanh"):
        export_model("a ~ k*b\nz := tanh(k)", "mplus")
    with pytest.raises(CycleError):
        export_model("a ~ b + x\nb ~ a + z", "dagitty")
