"""The project's verbs: demo, test, lint, bench, docs. Needs nothing but Python 3.11; each verb sets up `.venv` first.

python tasks.py demo [--dataset shop]     the main job, on real data or on the bundled shop
python tasks.py test [pytest arguments]   all tests
python tasks.py lint                      format, lint and types
python tasks.py bench NAME [arguments]    one of benchmarks/NAME.py
python tasks.py docs                      the HTML documentation, warnings as errors
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
# The extras each verb needs; what is there already is not installed again.
EXTRAS = {
    "demo": ["datasets"],
    "test": ["cate", "datasets", "dev", "notebook"],
    "lint": ["dev"],
    "bench": ["datasets", "bench"],
    "docs": ["docs"],
}


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit status."""
    verb, *rest = arguments or ["help"]
    if verb not in EXTRAS:
        print(__doc__)
        return 0 if verb in ("help", "-h", "--help") else 2
    install(EXTRAS[verb])
    return {"demo": demo, "test": test, "lint": lint, "bench": bench, "docs": docs}[verb](rest)


def install(extras: list[str]) -> None:
    """Make `.venv` and install the package with its extras under constraints.txt; a stamp per extra saves the second time."""
    key = hashlib.sha256((ROOT / "constraints.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()[:16]
    stamp = VENV / f"installed-{key}"
    done = set(stamp.read_text(encoding="utf-8").split()) if stamp.exists() else set()
    missing = [extra for extra in extras if extra not in done]
    if PYTHON.exists() and stamp.exists() and not missing:
        return
    if not PYTHON.exists():
        print(f"making {VENV}", flush=True)
        venv.create(VENV, with_pip=True)
    wanted = sorted(done | set(extras))
    print(f"installing causalsem[{','.join(wanted)}] under constraints.txt (some minutes the first time)", flush=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", ROOT / "constraints.txt"]
    # The pinned torch by name first: alone it is the small CPU build where one is offered.
    run(*pip, "torch==" + pinned("torch"))
    run(*pip, "--editable", f"{ROOT}[{','.join(wanted)}]")
    stamp.write_text(" ".join(wanted), encoding="utf-8")


def pinned(package: str) -> str:
    """Return the version constraints.txt pins a package to."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line.split("==")[1] for line in lines if line.startswith(f"{package}=="))


def demo(rest: list[str]) -> int:
    """Run the main job."""
    return status(PYTHON, "-m", "causalsem", "demo", *rest)


def test(rest: list[str]) -> int:
    """Run all tests, on every core unless the caller says otherwise."""
    parallel = [] if any(a.startswith("-n") for a in rest) else ["-n", "auto"]
    # One thread a worker: two workers with two threads each would wait for one another.
    return status(PYTHON, "-m", "pytest", *parallel, *rest, OMP_NUM_THREADS="1")


def lint(rest: list[str]) -> int:
    """Check format, lint rules and types."""
    ruff, mypy = [PYTHON, "-m", "ruff"], [PYTHON, "-m", "mypy"]
    return status(*ruff, "format", "--check", ".", *rest) or status(*ruff, "check", ".") or status(*mypy)


def bench(rest: list[str]) -> int:
    """Run one benchmark by name; without a name, list them."""
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    if not rest or rest[0] not in names:
        print("benchmarks:", *names)
        return 2
    return status(PYTHON, ROOT / "benchmarks" / f"{rest[0]}.py", *rest[1:])


def docs(rest: list[str]) -> int:
    """Build the documentation."""
    return status(PYTHON, "-m", "sphinx", "-W", "--keep-going", "-b", "html", ROOT / "docs", ROOT / "docs" / "_build", *rest)


def status(*command: str | Path, **environment: str) -> int:
    """Run a command in the project's folder and return its exit status."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **environment}, check=False).returncode


def run(*command: str | Path) -> None:
    """Run a command, or end with its exit status."""
    code = status(*command)
    if code:
        sys.exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
