"""What tests share: one torch thread, matplotlib without a screen, and the real data's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference results and real data, or a skip that says it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared (reference results and real data), which is absent here")
    return SHARED


@pytest.fixture(scope="session")
def nasty_names() -> tuple[str, ...]:
    """Return names that break careless code: scripts, markup, quotes, operators, control characters, keywords."""
    return (
        "浏览", "购买", "a b", "a:b", "a -> b", "x~y", 'say "hi"', "it's", "<img src=x onerror=alert(1)>",
        "</script><script>alert(1)</script>", "<b>bold</b>", "&amp;", "{{ 7*7 }}", "{% raw %}", "{name}", "$x_1$", "$\\frac{",
        "%s %d", "lambda", "class", "_private", "🛒", "x\u202egnp.exe",
        "a\x00b\x1b[31m", "line\nbreak\ttab", " ", "é̂ñ", "a" * 120, "c\\d", "[0]", "#hash;", "0",
    )  # fmt: skip
