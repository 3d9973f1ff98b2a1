"""Codes: whole numbers that name a thing (category 4756105, shop 17) and measure nothing."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd

from causalsem.errors import DataWarning

# The last word of a column's name that tells a code; 编号 and the like as the end of a Chinese name.
CODE_WORDS = frozenset(
    {
        *("id", "ids", "code", "codes", "category", "categories", "cat", "cate", "brand"),
        *("brands", "shop", "shops", "store", "stores", "seller", "sellers", "merchant", "zip"),
        *("zipcode", "postcode", "sku", "city", "region", "province", "country"),
    }
)
CODE_ENDINGS = ("编号", "编码", "代码", "类目", "品类", "类别", "品牌", "店铺", "商家", "邮编", "城市", "省份", "地区")
# Two values are a 0/1 trait, whatever they are called.
FEWEST_CODES = 3


def looks_like_code(name: str, values: pd.Series) -> bool:
    """Tell whether a numeric trait holds codes: whole numbers, three or more, under a name that speaks of one."""
    if not pd.api.types.is_numeric_dtype(values) or not _names_a_code(name):
        return False
    numbers = np.unique(values.dropna().to_numpy(dtype=np.float64))
    return len(numbers) >= FEWEST_CODES and bool((numbers == np.round(numbers)).all())


def _names_a_code(name: str) -> bool:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+", name)
    if not words:
        return False
    last = words[-1].casefold()
    latin = last in CODE_WORDS or last.removesuffix("id") in CODE_WORDS
    return latin or (not last.isascii() and last.endswith(CODE_ENDINGS))


def warn_of_code(name: str, key: str, levels: int, *, stacklevel: int) -> None:
    """Say that a trait was left out because its numbers are names."""
    warnings.warn(
        f"trait {name!r} of the {key}s looks like a code ({levels:,} whole numbers): its order says nothing, so it is left out; if it is "
        f"a measure, name it: behaviours(log, traits=[…, {name!r}]); if it matters as a code, give 0/1 columns for its common values",
        DataWarning,
        stacklevel=stacklevel,
    )
