"""A fit as JSON and back; the rows of data stay where they are."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from causalsem._values import json_text, read_json, write_text
from causalsem.sem.matrices import ram_of
from causalsem.sem.options import SEMOptions
from causalsem.sem.partable import Names, ParameterTable, Row
from causalsem.sem.sample import Sample
from causalsem.sem.syntax import parse_relations

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit

FORMAT = "causalsem-sem"


def save_fit(fit: SEMFit, path: str | os.PathLike[str]) -> Path:
    """Write a fit: table, estimates, covariance, measures and sample moments."""
    table = fit.table
    payload = {
        "format": FORMAT,
        "version": 1,
        "options": asdict(fit.options),
        "group_labels": table.group_labels,
        "meanstructure": table.meanstructure,
        "fixed_x": table.fixed_x,
        "levels": dict(table.levels),
        "conditional_x": table.conditional_x,
        "delta": table.delta,
        "two_level": table.two_level,
        "variables": [asdict(names) for names in table.names],
        "rows": [asdict(row) for row in table.rows],
        "relations": [str(r) for r in table.relations],
        "parameter_names": table.parameter_names,
        "samples": [{"label": s.label, "names": s.names, "n": s.n, "mean": s.mean, "covariance": s.covariance} for s in fit.samples],
        "theta": fit.theta,
        "covariance": fit.covariance,
        "measures": dict(fit.measures),
        "defined": fit.defined,
        "provenance": dict(fit.provenance),
        # What other programs want to read without knowing our table.
        "parameters": fit.parameters.to_dict(orient="records"),
        "verdict": fit.verdict,
    }
    return write_text(path, json_text(payload))


def load_fit(path: str | os.PathLike[str]) -> SEMFit:
    """Return the fit that `save_fit` wrote."""
    from causalsem.sem.result import SEMFit

    told = read_json(path, FORMAT)
    names = tuple(Names(**{k: tuple(v) for k, v in one.items()}) for one in told["variables"])
    rows = tuple(Row(**row) for row in told["rows"])
    table = ParameterTable(
        rows,
        names,
        parse_relations(told["relations"]),
        tuple(told["group_labels"]),
        told["meanstructure"],
        told["fixed_x"],
        len(told["theta"]),
        tuple(told["parameter_names"]),
        told.get("levels", {}),
        told.get("conditional_x", False),
        told.get("delta", True),
        told.get("two_level", False),
    )
    samples = tuple(Sample(s["label"], tuple(s["names"]), s["n"], np.array(s["mean"]), np.array(s["covariance"])) for s in told["samples"])
    rams = tuple(ram_of(table, g, s.covariance, s.mean) for g, s in enumerate(samples, start=1))
    chosen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told["options"].items()}
    options = SEMOptions(**chosen)
    vcov = None if told["covariance"] is None else np.array(told["covariance"])
    defined = tuple((n, _number(v), _number(e)) for n, v, e in told["defined"])
    measures = {k: _number(v) for k, v in told["measures"].items()}
    return SEMFit(table, rams, samples, options, np.array(told["theta"]), vcov, measures, defined, told["provenance"])


def _number(value: Any) -> float:
    """Return a float; JSON has null for NaN."""
    return float("nan") if value is None else float(value)
