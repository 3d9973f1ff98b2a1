"""lavaan itself, where R and r-cran-lavaan are installed: kinds of fits that the stored reference has one or none of."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causalsem.sem import fit_sem

SCRIPT = """
suppressMessages(library(lavaan))
args <- commandArgs(TRUE)
d <- read.csv(args[1])
fit <- suppressWarnings(eval(parse(text = readLines(args[2]))))
p <- parameterEstimates(fit)
m <- fitMeasures(fit)
write.csv(p[, intersect(c("lhs", "op", "rhs", "group", "level", "est", "se"), names(p))], args[3], row.names = FALSE)
write.csv(data.frame(name = names(m), value = as.numeric(m)), args[4], row.names = FALSE)
"""
CFA = "f =~ a + b + c\ng =~ d + e + h"
ORDERED = ["a", "b", "c"]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ordinal groups": ("f =~ a + b + c", {"ordered": ORDERED, "group": "shop", "group.equal": ["loadings", "thresholds"]}),
    "ordinal and numeric with a covariate": (CFA + "\nf ~ x\ng ~ f", {"ordered": ORDERED, "parameterization": "theta"}),
    "rows in clusters": ("d ~ x\ne ~ d\nh ~ e", {"cluster": "town"}),
    "rows in clusters and groups": ("d ~ x\ne ~ d\nh ~ e", {"cluster": "town", "group": "shop"}),
    "two levels": ("level: 1\ng =~ d + e + h\ng ~ x\nlevel: 2\nk =~ d + e + h", {"cluster": "town"}),
    "least squares with a cause": ("d ~ x\ne ~ d\nh ~ e", {"estimator": "WLS"}),
}


def has_lavaan() -> bool:
    if shutil.which("Rscript") is None:
        return False
    asked = ["Rscript", "-e", "cat(requireNamespace('lavaan', quietly = TRUE))"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.endswith("TRUE")


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    town = np.repeat(np.arange(60), 10)
    x = rng.normal(size=600)
    u = rng.normal(size=60)[town]
    f, g = 0.4 * x + rng.normal(size=600), 0.5 * x + 0.6 * u + rng.normal(size=600)
    out = {n: np.digitize((1 - 0.1 * k) * f + rng.normal(size=600), [-0.7, 0.5]) for k, n in enumerate("abc")}
    out |= {n: (1 - 0.1 * k) * (g + 0.3 * f) + 0.4 * rng.normal(size=60)[town] + rng.normal(size=600) for k, n in enumerate("deh")}
    return pd.DataFrame(out).assign(x=x, town=town, shop=np.where(town % 2, "east", "west"))


def r_value(value: object) -> str:
    if isinstance(value, list):
        return f"c({', '.join(json.dumps(v) for v in value)})"
    return json.dumps(value)


@pytest.mark.skipif(not has_lavaan(), reason="needs lavaan; run: apt-get install r-cran-lavaan")
@pytest.mark.parametrize("name", CASES)
def test_a_fit_is_lavaans(name: str, tmp_path: Path) -> None:
    model, options = CASES[name]
    data, call, table, measures, script = (tmp_path / f for f in ("d.csv", "call.R", "p.csv", "m.csv", "run.R"))
    rows().to_csv(data, index=False)
    told = "".join(f", {key} = {r_value(value)}" for key, value in options.items())
    call.write_text(f"sem({json.dumps(model)}, d{told})", encoding="utf-8")
    script.write_text(SCRIPT, encoding="utf-8")
    subprocess.run(["Rscript", str(script), str(data), str(call), str(table), str(measures)], check=True, capture_output=True)
    fit = fit_sem(model, rows(), **{key.replace(".", "_"): value for key, value in options.items()})
    keys = [k for k in ("lhs", "op", "rhs", "group", "level") if k in fit.parameters]
    want = pd.read_csv(table, keep_default_na=False).set_index(keys)
    got = fit.parameters.set_index(keys).loc[want.index]
    # lavaan's own stop leaves up to 1e-4 of an estimate.
    np.testing.assert_allclose(got["est"], want["est"].astype(float), atol=3e-4, rtol=3e-4)
    np.testing.assert_allclose(got["se"], want["se"].astype(float), atol=3e-4, rtol=1e-3)
    stored = pd.read_csv(measures).set_index("name")["value"].dropna()
    for key in [k for k in ("chisq", "df", "cfi", "rmsea", "chisq.scaled", "cfi.scaled", "rmsea.scaled", "logl") if k in stored]:
        assert fit.measures[key] == pytest.approx(stored[key], rel=1e-3, abs=1e-3), key
