"""Mplus's printed outputs (shared/reference/sem/mplus): the model they show, as lavaan text, and its data where they are there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import lavaan_reference as reference  # a helper beside the tests, which are no package

FOLDER = reference.FOLDER / "mplus"
# Printed for a parameter that is fixed.
FIXED = 999.0
# The data of these outputs; those of the others are not beside them. Groups are named as the data name them.
DATA = {"Bollen__Bollen": "poldem.csv", "HS__HS": "hs1939.csv", "HS_multi__HS": "hs1939.csv"}
GROUPS = {"GRANTWHITE": "Grant-White", "PASTEUR": "Pasteur"}


def outputs() -> list[str]:
    """Return the names of all outputs."""
    return sorted(p.stem for p in FOLDER.glob("*.json")) if FOLDER.is_dir() else []


def read(name: str) -> dict[str, Any]:
    """Return one output."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def data_of(name: str) -> pd.DataFrame | None:
    """Return the data of an output, or None where its repository kept them to itself."""
    for start, file in DATA.items():
        if name.startswith(start):
            return pd.read_csv(reference.FOLDER / file)
    return None


def rows_of(output: dict[str, Any]) -> list[tuple[str | None, str, str, str, float, float]]:
    """Return (group, lhs, op, rhs, estimate, error) of every printed parameter; an error of 0 says it is fixed."""
    out = []
    for group, block, name, est, se, *_ in output["parameters"]:
        lhs, op, rhs = _parameter(block, name.lower())
        out.append((GROUPS.get(group, group), lhs, op, rhs, est, se))
    return out


def _parameter(block: str, name: str) -> tuple[str, str, str]:
    words = block.lower().split()
    if words[-1] in ("by", "on", "with"):
        op = {"by": "=~", "on": "~", "with": "~~"}[words[-1]]
        return words[0], op, name
    if block == "Thresholds":
        variable, number = name.split("$")
        return variable, "|", f"t{number}"
    if block in ("Means", "Intercepts"):
        return name, "~1", ""
    return (name, "~*~", name) if block == "Scales" else (name, "~~", name)


def model_of(output: dict[str, Any], groups: list[str] | None) -> str:
    """Return lavaan text that states every printed parameter; equal estimates with equal errors are one parameter.

    The printed number of parameters says whether that reading is right.
    """
    rows = rows_of(output)
    keys = [(est, se) for *_, est, se in rows if se]
    shared = {key for key in keys if keys.count(key) > 1}
    equal = len(set(keys)) == output["npar"] != len(keys)
    labels = {key: f"p{k}" for k, key in enumerate(sorted(shared))} if equal else {}
    lines = []
    for group in groups or [None]:  # type: ignore[list-item]  # one block without a name
        lines += [f'group: "{group}"'] if group else []
        for where, lhs, op, rhs, est, se in rows:
            if where == group:
                told = f"{est:.3f}*" if not se else f"{labels[est, se]}*" if (est, se) in labels else "NA*" if op == "=~" else ""
                lines.append(f"{lhs} ~ {told}1" if op == "~1" else f"{lhs} {op} {told}{rhs}")
    return "\n".join(lines)
