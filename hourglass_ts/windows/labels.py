"""pytorch-forecasting's label encoder over distinct values instead of rows: the same codes in less time and memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
from pytorch_forecasting.data.encoders import NaNLabelEncoder


class _DistinctLabels(NaNLabelEncoder):
    """What the encoders of a data set are while it is made; sorts and looks up each distinct value once."""

    def fit(self, y: Any, overwrite: bool = False) -> NaNLabelEncoder:
        return super().fit(y.drop_duplicates() if isinstance(y, pd.Series) else pd.unique(y), overwrite=overwrite)

    def transform(self, y: Any, **options: Any) -> Any:
        if not isinstance(y, pd.Series) or len(y) == 0 or y.isna().any():
            return super().transform(y, **options)
        codes, distinct = pd.factorize(y)
        return super().transform(distinct, **options)[codes]


@contextmanager
def distinct_labels(encoders: dict[str, Any], missing: list[str]) -> Iterator[None]:
    """Let a data set's `encoders`, and new ones for the names that are `missing`, work on distinct values for a while.

    Encoders of other classes are left alone; afterwards all are what upstream would have made.
    """
    for name in missing:
        encoders.setdefault(name, NaNLabelEncoder())
    for encoder in encoders.values():
        if type(encoder) is NaNLabelEncoder:
            encoder.__class__ = _DistinctLabels
    try:
        yield
    finally:
        for encoder in encoders.values():
            if type(encoder) is _DistinctLabels:
                encoder.__class__ = NaNLabelEncoder


def share_labels(data: pd.DataFrame, names: list[str]) -> None:
    """Make text columns categories of plain strings: taken row by row, they are then the same few objects.

    Arrow's strings become a new object for every row, which takes more memory than all the rest.
    """
    for name in dict.fromkeys(names):
        column = data[name]
        if isinstance(column.dtype, pd.StringDtype):
            column = column.astype("category")
        if isinstance(column.dtype, pd.CategoricalDtype) and isinstance(column.cat.categories.dtype, pd.StringDtype):
            data[name] = column.cat.rename_categories(column.cat.categories.astype(object))
