"""Pipelines: from a raw file of a domain to tidy columns, to columns that suit a model, and back.

Two steps. `tidy` turns what stations and exchanges write into one column per variable in its own unit; it learns
nothing. `transform` maps tidy columns to those that a model is trained on; what it needs is learnt in `fit`, from
training rows alone. Forecasts come back by `inverse_transform`, and are compared with tidy columns.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem
from hourglass_ts.frames.columns import to_times
from hourglass_ts.frames.features import TimeFeature
from hourglass_ts.frames.roles import Roles, Source, is_dated, resolve

Self = TypeVar("Self", bound="Pipeline")


class Pipeline(Protocol):
    """What `HourGlassForecaster(pipeline=...)` takes; scikit-learn's methods on frames, and what forecasts need more.

    time, series: parameters, the frame's columns of these roles; None is filled in by the forecaster.
    kind: its name in saved models.  notes_: sentences about what `fit` found, repaired and left alone.

    No row of `tidy` or `transform` depends on a later row, nor on rows of another series.
    """

    kind: ClassVar[str]
    notes_: tuple[str, ...]

    @property
    def features(self) -> tuple[TimeFeature, ...]:
        """After `fit`: known columns to make from the time, for rows and for the horizon."""

    @property
    def freq(self) -> Any:
        """The frequency that the tidy rows have, as `HourGlassForecaster(freq=...)` takes it; None to infer it."""

    def tidy(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give the frame in tidy columns; a tidy frame comes back as it is. Raises one DataError with all faults."""

    def fit(self: Self, df: pd.DataFrame, y: Any = None) -> Self:
        """Learn from the training rows, raw or tidy."""

    def transform(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give the columns for a model, row by row of `tidy(df)`; columns that are not there are left out."""

    def inverse_transform(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give the tidy columns back from those of `transform` that are there, with time and series columns."""

    def get_feature_names_out(self, input_features: Sequence[Hashable] | None = None) -> np.ndarray:
        """Name the columns of `transform`."""

    def outputs_of(self, label: Hashable) -> tuple[Hashable, ...]:
        """Name the transformed columns that hold a tidy column: itself, or for a direction its two components."""

    def keeps_order(self, label: Hashable) -> bool:
        """Whether the way back is monotone, so that quantiles of its output are quantiles of the tidy column."""

    def bounds_of(self, label: Hashable) -> tuple[float, float]:
        """Say between which values a tidy column can be: quantiles that are moved afterwards are kept there."""

    def to_json(self) -> dict[str, Any]:
        """Give parameters and what was learnt as plain JSON values, to save it with a model."""

    @classmethod
    def from_json(cls: type[Self], fields: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` gave, to the last bit."""


def in_columns(df: pd.DataFrame, time: Hashable, series: Any) -> tuple[pd.DataFrame, Hashable, list[Hashable]]:
    """Give the frame with its times, read as such, and its series in columns, and their labels; rows numbered anew.

    time: None takes an index of times, or the only column of dates.  series: None, a label, or a list of them.
    Rows without a time are left out where they are empty.

    Raises:
        DataError: labels have levels, a column lacks, a time cannot be read, or a row with values has none.
    """
    if isinstance(df, pd.DataFrame) and df.columns.nlevels > 1:
        found, expected = f"labels of {df.columns.nlevels} levels", "one label per column"
        hint = "Make one row per series and time: df.stack(level=1).reset_index(); or drop a level with df.droplevel."
        raise_problem(DataError, Problem(found, expected, hint))
    source = Source(df)
    keys = [] if series is None else list(series) if isinstance(series, list) else [series]
    time = _only_dates(df) if time is None else time
    others = [label for label in source.columns if label not in (time, *keys)]
    roles, column, _ = resolve(source, Roles(time=time, series=tuple(keys), target=tuple(others[:1])))
    times = to_times(column)
    if times.fault is not None:
        raise_problem(DataError, Problem(*times.fault, column=roles.time))
    frame = df.set_axis(pd.RangeIndex(len(df)))
    for place, label in enumerate(label for label in (*keys, roles.time) if label not in source.columns):
        frame.insert(place, label, column if label == roles.time else source[label])
    lost = times.missing & frame.drop(columns=[*keys, roles.time]).notna().any(axis=1).to_numpy()
    if lost.any():
        found, hint = f"{lost.sum():,} row(s) without a time", "Fill the time, or drop the rows with dropna."
        raise_problem(DataError, Problem(found, "a time in every row", hint, column=roles.time))
    frame = frame[~times.missing].reset_index(drop=True)
    frame[roles.time] = times.values[~times.missing]
    frame.attrs = dict(df.attrs)
    return frame, roles.time, keys


def _only_dates(df: pd.DataFrame) -> Hashable:
    """The only column of dates of a frame without an index of times."""
    if any(is_dated(df.index.get_level_values(level)) for level in range(df.index.nlevels)):
        return None
    dated = [label for label in df.columns if is_dated(df[label])]
    return dated[0] if len(dated) == 1 else None
