"""CPU milliseconds of whole SEM fits (estimates, errors, fit measures) and of bootstraps, one thread: ours, semopy's, lavaan's in one run.

Run: OMP_NUM_THREADS=1 python benchmarks/sem.py [--no-semopy] [--no-lavaan] [--json OUT]
Data: lavaan's reference cases beside the repository (shared/reference/sem); the larger ones are simulated here.
lavaan needs R (Debian: apt-get install r-cran-lavaan) and is left out, and said so, where it is absent.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from causalsem.behaviour import Moments
from causalsem.sem import fit_sem

FOLDER = Path(__file__).parents[1].parent / "shared" / "reference" / "sem"


@dataclass(frozen=True)
class Case:
    """A model with its data and the milliseconds to stay below; `boot` resamples are fitted instead where it is not 0."""

    name: str
    model: str
    preset: str
    data: Any
    goal: float
    options: dict[str, Any] = field(default_factory=dict)
    boot: int = 0


def stored(name: str, goal: float, *, rows: bool = False, boot: int = 0, **options: Any) -> Case:
    """Return one of lavaan's reference cases, from its moments or its rows."""
    told = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    frame = pd.read_csv(FOLDER / told["data_file"])
    label = name + (f" × {boot}" if boot else "")
    if told["data_file"].endswith("_cov.csv"):
        return Case(label, told["model"], "dag", Moments.from_covariance(frame, told["n_total"], list(frame.columns)), goal, options)
    numbers = frame.select_dtypes("number")
    data = numbers if rows or boot else Moments.from_rows(numbers.dropna(), list(numbers.columns))
    return Case(label, told["model"], told["fun"], data, goal, options, boot)


def random_dag(p: int, degree: float, goal: float, *, seed: int = 0, n: int = 2000) -> Case:
    """Return a random DAG of p variables with `degree` causes each on average, and the moments of n rows."""
    rng = np.random.default_rng(seed)
    B, lines = np.zeros((p, p)), []
    for j in range(1, p):
        causes = rng.choice(j, min(j, max(1, int(rng.poisson(degree)))), replace=False)
        B[j, causes] = rng.uniform(0.2, 0.5, len(causes)) * rng.choice([-1, 1], len(causes))
        lines.append(f"x{j} ~ " + " + ".join(f"x{c}" for c in causes))
    rows = rng.normal(size=(n, p)) @ np.linalg.inv(np.eye(p) - B).T
    count = sum(line.count("+") + 1 for line in lines) + p - 1
    return Case(f"DAG {p} ({count} parameters)", "\n".join(lines), "dag", Moments.from_rows(rows, [f"x{k}" for k in range(p)]), goal)


def long_rows(goal: float, n: int = 100_000) -> Case:
    """Return the Holzinger and Swineford model on n heavy-tailed rows with their covariance, to be fitted by MLR."""
    told = json.loads((FOLDER / "hs_cfa_ml.json").read_text(encoding="utf-8"))
    names = [f"x{k}" for k in range(1, 10)]
    L = np.linalg.cholesky(pd.read_csv(FOLDER / told["data_file"])[names].cov().to_numpy())
    rows = np.random.default_rng(0).standard_t(8, size=(n, 9)) @ L.T
    return Case(f"hs_cfa MLR, n = {n:,}", told["model"], "cfa", pd.DataFrame(rows, columns=names), goal, {"estimator": "MLR"})


def ordered_items(goal: float) -> Case:
    """Return lavaan's reference case of eight ordered items, to be fitted by WLSMV."""
    case = stored("ordinal_wlsmv_cfa", goal, rows=True)
    return replace(case, options={"ordered": [f"{factor}{k}" for factor in "uv" for k in range(1, 5)], "estimator": "WLSMV"})


def all_cases() -> list[Case]:
    """Return every case, the stored ones where they are there."""
    here = FOLDER.is_dir()
    cases = (
        []
        if not here
        else [
            stored("hs_cfa_ml", 2.0),
            stored("funnel_observed_ml", 1.0),
            stored("path50_n1000_dag", 5.0),
            stored("path100_n1000_dag", 20.0),
        ]
    )
    cases += [random_dag(100, 4.7, 150.0), random_dag(500, 3.0, 1000.0)]
    if here:
        cases += [stored("hs_fiml", 40.0, rows=True, missing="fiml"), ordered_items(40.0), long_rows(150.0)]
        cases += [
            stored("mediation_ml", 100.0, boot=1000),
            stored("hs_cfa_ml", 300.0, boot=1000),
            stored("funnel_latent_ml", 300.0, boot=1000),
        ]
    return cases


def cpu_ms(work: Callable[[], object], least: float = 1.0) -> float:
    """Return the smallest CPU time of one call in milliseconds, over at least `least` seconds of calls."""
    best, spent = float("inf"), 0.0
    while spent < least or best == float("inf"):
        start = time.process_time_ns()
        work()
        took = (time.process_time_ns() - start) / 1e9
        best, spent = min(best, took), spent + max(took, 1e-5)
    return best * 1e3


def our_ms(case: Case) -> tuple[float, float]:
    """Return the milliseconds of a text never seen before, and of one that was (only its parsing is saved)."""
    if case.boot:
        fit = fit_sem(case.model, case.data, preset=case.preset, **case.options)
        fit.bootstrap(50)
        took = cpu_ms(lambda: fit.bootstrap(case.boot))
        return took, took
    count = iter(range(1_000_000))

    def work(model: str) -> object:
        fit = fit_sem(model, case.data, preset=case.preset, **case.options)
        return fit.se, fit.measures["cfi"]

    return cpu_ms(lambda: work(f"{case.model}\n# {next(count)}")), cpu_ms(lambda: work(case.model))


def semopy_ms(case: Case) -> float | None:
    """Return semopy's milliseconds for fit, errors and fit measures; None where it has no such fit, or is not there."""
    if case.options or case.boot or len(case.data.names) > 100:
        return None
    try:
        import semopy
    except ImportError:
        return None
    # semopy has no := lines.
    model = "\n".join(line for line in case.model.splitlines() if ":=" not in line)
    m = case.data
    cov = pd.DataFrame(m.covariance, index=list(m.names), columns=list(m.names))

    def work() -> object:
        fitted = semopy.Model(model)
        fitted.fit(data=None, cov=cov, n_samples=m.n)
        fitted.inspect()
        return semopy.calc_stats(fitted)

    return cpu_ms(work, least=0.0)


LAVAAN = """
suppressMessages(library(lavaan))
a <- commandArgs(TRUE)
model <- paste(readLines(a[1], warn = FALSE), collapse = "\\n")
data <- as.matrix(read.csv(a[2], check.names = FALSE))
n <- as.integer(a[3]); fun <- a[4]; boot <- as.integer(a[5]); times <- as.integer(a[6])
more <- eval(parse(text = a[7]))
if (fun_is_cov <- (n > 0)) { rownames(data) <- colnames(data); more <- c(more, list(sample.cov = data, sample.nobs = n)) }
if (!fun_is_cov) more <- c(more, list(data = as.data.frame(data)))
if (boot > 0) more <- c(more, list(se = "bootstrap", bootstrap = boot))
if (a[8] == "dag") more <- c(more, list(auto.cov.y = FALSE))
best <- Inf
for (k in seq_len(times)) {
  t <- system.time({ f <- do.call(fun, c(list(model), more)); s <- suppressWarnings(fitMeasures(f)); p <- parameterEstimates(f) })
  best <- min(best, t[["user.self"]] + t[["sys.self"]])
}
cat(1000 * best)
"""


def lavaan_ms(case: Case) -> float | None:
    """Return lavaan's milliseconds for the same work in a process of its own (its start is not counted), or None without it."""
    big = isinstance(case.data, Moments) and len(case.data.names) > 50
    if shutil.which("Rscript") is None or big or (case.boot and not case.name.startswith("mediation")):
        return None
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        (at / "run.R").write_text(LAVAAN, encoding="utf-8")
        (at / "model.lav").write_text(case.model, encoding="utf-8")
        moments = isinstance(case.data, Moments)
        frame = pd.DataFrame(case.data.covariance, columns=list(case.data.names)) if moments else case.data
        frame.to_csv(at / "data.csv", index=False, na_rep="NA")
        # JSON's strings are R's, and so are its lists between c( and ).
        told_options = (f"{k} = c({json.dumps([v] if isinstance(v, str) else v)[1:-1]})" for k, v in case.options.items())
        more = "list(" + ", ".join(told_options) + ")"
        n, fun, times = str(case.data.n if moments else 0), case.preset.replace("dag", "sem"), "1" if case.boot else "5"
        told = [str(at / "model.lav"), str(at / "data.csv"), n, fun, str(case.boot), times, more, case.preset]
        done = subprocess.run(["Rscript", str(at / "run.R"), *told], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  lavaan: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}", file=sys.stderr)
        return None
    return float(done.stdout.split()[-1])


MEMORY = """
import re, sys
sys.path.insert(0, {folder!r})
import sem
from causalsem.sem import fit_sem
def megabytes(word):
    return int(re.search(word + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
case = sem.random_dag(100, 4.7, 0.0)
before = megabytes("VmRSS")
fit_sem(case.model, case.data, preset="dag").measures["cfi"]
print(before, megabytes("VmHWM"))
"""


def memory_mb() -> tuple[float, float]:
    """Return resident MB of a process with the package imported, and its peak after a fit of 100 variables."""
    program = MEMORY.format(folder=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = (float(v) for v in done.stdout.split())
    return before, after


def main() -> None:
    """Print one line per case, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-semopy", action="store_true")
    parser.add_argument("--no-lavaan", action="store_true")
    parser.add_argument("--json", metavar="OUT")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if not FOLDER.is_dir():
        print("the reference cases are not beside the repository; only simulated ones are measured")
    if shutil.which("Rscript") is None:
        print("R with lavaan is not there (apt-get install r-cran-lavaan); its columns stay empty")
    print(f"{'case':34s} {'ours ms':>9s} {'again':>9s} {'goal':>7s} {'semopy':>9s} {'ratio':>6s} {'lavaan':>9s} {'ratio':>6s}")
    rows = []
    for case in all_cases():
        ours, again = our_ms(case)
        semopy = None if asked.no_semopy else semopy_ms(case)
        lavaan = None if asked.no_lavaan else lavaan_ms(case)
        rows.append({"case": case.name, "ours_ms": ours, "again_ms": again, "goal_ms": case.goal, "semopy_ms": semopy, "lavaan_ms": lavaan})
        peers = " ".join(f"{'—':>9s} {'':>6s}" if t is None else f"{t:9.1f} {t / ours:5.0f}x" for t in (semopy, lavaan))
        print(f"{case.name:34s} {ours:9.2f} {again:9.2f} {case.goal:7.0f} {peers}", flush=True)
    before, after = memory_mb()
    rows.append({"case": "memory, 100 variables", "before_mb": before, "peak_mb": after, "goal_mb": 200})
    print(f"memory: {before:.0f} MB with the package imported, {after:.0f} MB at the peak of a fit of 100 variables (goal 200)")
    if asked.json:
        Path(asked.json).write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
