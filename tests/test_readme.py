"""The README's code runs as it stands, and both languages tell the same code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import causalsem as cs

ROOT = Path(__file__).resolve().parents[1]


def twenty_lines(name: str) -> str:
    """Return the Python block of a README."""
    return re.search(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL).group(1)


def code_alone(text: str) -> list[str]:
    """Return the statements without their comments."""
    return [line.split("  #")[0].strip() for line in text.splitlines() if line.strip()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::causalsem.errors.AssumptionWarning")
def test_the_twenty_lines_run_as_written(tmp_path, monkeypatch) -> None:
    cs.simulate_shop(users=300, items=80, seed=1).log_frame.to_parquet(tmp_path / "events.parquet", index=False)
    monkeypatch.chdir(tmp_path)
    exec(compile(twenty_lines("README.md"), "README.md", "exec"), {})
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_both_readmes_tell_the_same_code() -> None:
    english, chinese = (code_alone(twenty_lines(name)) for name in ("README.md", "README.zh-CN.md"))
    assert [line.split("(")[0] for line in english] == [line.split("(")[0] for line in chinese]
