"""Mplus 8.2's printed digits, with mimic="mplus": estimates, errors, tests and fit within 0.001."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from causalsem.errors import AssumptionWarning
from causalsem.sem import SEMFit, fit_sem

sys.path.insert(0, str(Path(__file__).parent))
import mplus_reference as mplus  # a helper beside the tests, which are no package

NEAR = 1.05e-3
# Here lavaan 0.6-14's mimic="Mplus" and ours agree with each other (χ² 116.654), and Mplus prints 107.376.
APART = "HS_multi__HS.multi.mean.WLS"


def names() -> list[Any]:
    if not mplus.outputs():
        return [pytest.param("none", marks=pytest.mark.skip(reason=mplus.reference.ABSENT))]
    absent = pytest.mark.skip(reason="the data of this output are not beside it (shared/reference/sem/mplus)")
    apart = pytest.mark.xfail(reason="Mplus weighs the moments of several groups in a way that it does not tell", strict=True)
    marks = {n: absent for n in mplus.outputs() if mplus.data_of(n) is None} | {APART: apart}
    return [pytest.param(n, marks=marks[n]) if n in marks else n for n in mplus.outputs()]


def fitted(name: str, output: dict[str, Any]) -> SEMFit:
    data = mplus.data_of(name)
    assert data is not None
    groups = list(dict.fromkeys(data["school"])) if "multi" in name else None
    information = {"EXPECTED": "expected", "OBSERVED": "observed"}.get(output["information"] or "")
    estimator = "MLMVS" if "MLMVS" in name else output["estimator"]
    options: dict[str, Any] = {"estimator": estimator, "mimic": "mplus", "meanstructure": "nomean" not in name}
    if estimator in ("ML", "MLR", "MLF"):
        options["information"] = information
    if groups:
        options["group"] = "school"
        options["group_equal"] = ["none"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        return fit_sem(mplus.model_of(output, groups), data, preset="lavaan", **options)


@pytest.mark.parametrize("name", names())
def test_a_printed_output_is_reproduced(name: str) -> None:
    output = mplus.read(name)
    fit = fitted(name, output)
    table = fit.parameters
    got = {
        (a, op, b, g): (e, s)
        for a, op, b, g, e, s in zip(*(table[c] for c in ("lhs", "op", "rhs")), _groups(fit), table["est"], table["se"], strict=True)
    }
    got |= {(b, op, a, g): v for (a, op, b, g), v in got.items() if op == "~~"}
    for group, lhs, op, rhs, est, se in mplus.rows_of(output):
        assert got[lhs, op, rhs, group] == pytest.approx((est, se), abs=NEAR), (lhs, op, rhs)
    m, scaled = fit.measures, ".scaled" if "chisq.scaled" in fit.measures else ""
    assert m["npar"] == output["npar"]
    for key, printed in output["fit"].items():
        ours = {"logl_h1": "unrestricted.logl", "baseline_chisq": f"baseline.chisq{scaled}", "scaling": "chisq.scaling.factor"}.get(
            key, key
        )
        ours = ours + scaled if ours in ("chisq", "df", "cfi", "tli", "rmsea") else ours
        if printed is not None and ours in m:
            # CFI and TLI are printed within 0 and 1.
            value = min(m[ours], 1.0) if key == "cfi" else m[ours]
            assert value == pytest.approx(printed, abs=NEAR), key


def _groups(fit: SEMFit) -> list[str | None]:
    labels = fit.table.group_labels
    return [labels[r.group - 1] or None for r in fit.table.rows]
