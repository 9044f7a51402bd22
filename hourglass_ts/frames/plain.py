"""Labels and parameters as JSON values, and back: JSON has no tuples, no dates, and no keys but text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def to_plain(value: Any) -> Any:
    """Give a value as JSON: text, numbers, truth values and None as they are, anything else in a dict that names it.

    Raises a TypeError for what is neither of these, nor a date, nor a list, tuple or dict of them.

    Example:
        >>> to_plain(("a", 1)), to_plain({2: None})
        ({'tuple': ['a', 1]}, {'dict': [[2, None]]})
    """
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":
        value = value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (pd.Timestamp, np.datetime64)):
        return {"timestamp": pd.Timestamp(value).isoformat()}
    if isinstance(value, Mapping):
        return {"dict": [[to_plain(key), to_plain(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple, np.ndarray)):
        return {"tuple" if isinstance(value, tuple) else "list": [to_plain(item) for item in value]}
    raise TypeError(f"{value!r} is no plain value")


def from_plain(value: Any) -> Any:
    """Rebuild what `to_plain` gave.

    Example:
        >>> from_plain(to_plain({("a", 1): [0.5]}))
        {('a', 1): [0.5]}
    """
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "timestamp":
        return pd.Timestamp(content)
    if kind == "dict":
        return {from_plain(key): from_plain(item) for key, item in content}
    items = [from_plain(item) for item in content]
    return tuple(items) if kind == "tuple" else items
