"""From a user's frame to the one that a model sees, and from its forecasts back: through a pipeline, or straight."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from hourglass_ts.errors import Problem, SettingsError, raise_problems
from hourglass_ts.forecast.truth import is_quantile
from hourglass_ts.frames.features import TimeFeature
from hourglass_ts.frames.pipelines import in_columns
from hourglass_ts.frames.roles import Roles, Source, resolve
from hourglass_ts.frames.stocks import StockPipeline
from hourglass_ts.frames.weather import WeatherPipeline

METHODS = (
    "tidy",
    "fit",
    "transform",
    "inverse_transform",
    "get_feature_names_out",
    "outputs_of",
    "keeps_order",
    "bounds_of",
    "features",
    "freq",
)
PIPELINES: dict[str, type] = {pipeline.kind: pipeline for pipeline in (StockPipeline, WeatherPipeline)}
"""The pipelines that have a name."""


@dataclass(frozen=True)
class Straight:
    """No pipeline: a model sees the user's frame, and its forecasts are the user's."""

    roles: Roles
    features: tuple[TimeFeature, ...] = ()
    notes: tuple[str, ...] = ()
    freq: Any = None

    def frame(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give the frame for the model."""
        return df

    def own_roles(self, roles: Roles) -> Roles:
        """Give the roles in the user's frame that belong to these in the model's."""
        return roles

    def invert(self, forecasts: pd.DataFrame) -> pd.DataFrame:
        """Give a frame of forecasts in the user's columns."""
        return forecasts

    def bounds(self, label: Hashable) -> tuple[float, float]:
        """Between which values one of the user's columns can be: nothing is known of it."""
        return -np.inf, np.inf


@dataclass(frozen=True)
class Piped:
    """Through a fitted pipeline. own: the roles in the user's tidy frame.  roles: those in the transformed one."""

    pipeline: Any
    own: Roles
    roles: Roles

    @property
    def features(self) -> tuple[TimeFeature, ...]:
        """The known columns that the pipeline makes from the time."""
        return tuple(self.pipeline.features)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the pipeline found when it was fitted."""
        return tuple(getattr(self.pipeline, "notes_", ()))

    @property
    def freq(self) -> Any:
        """The frequency of the pipeline's rows, where it says it."""
        return self.pipeline.freq

    def frame(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give the frame for the model: transformed, times and series in columns."""
        return self.pipeline.transform(_flat(df, self.own))

    def own_roles(self, roles: Roles) -> Roles:
        """Give the roles in the user's frame."""
        return self.own

    def bounds(self, label: Hashable) -> tuple[float, float]:
        """Between which values one of the user's columns can be."""
        return self.pipeline.bounds_of(label)

    def invert(self, forecasts: pd.DataFrame) -> pd.DataFrame:
        """Give a frame of forecasts, quantiles too, in the user's columns and units; its rows keep their order."""
        numbers = [label for label in forecasts.columns if label == "forecast" or is_quantile(label)]
        several = len(self.roles.target) > 1
        labels = [label for label in forecasts.columns if label not in numbers and not (several and label == "target")]
        ids = forecasts[labels]
        if not several:
            wide = {number: {self.roles.target[0]: forecasts[number].to_numpy()} for number in numbers}
            return _long(ids, self._tidy(ids, wide), self.own.target)
        place = ids.groupby(labels, sort=False, dropna=False).ngroup().to_numpy()
        wide = {number: _spread(forecasts, place, number, self.roles.target) for number in numbers}
        ids = ids[~ids.duplicated()].reset_index(drop=True)
        long = _long(ids, self._tidy(ids, wide), self.own.target)
        owners = [label for label in labels if label not in (self.own.time, "lead")]
        owner = ids.groupby(owners, sort=False, dropna=False).ngroup().to_numpy() if owners else np.zeros(len(ids))
        n_targets = len(self.own.target)
        row, target = np.tile(np.arange(len(ids)), n_targets), np.repeat(np.arange(n_targets), len(ids))
        return long.iloc[np.lexsort([row, target, np.tile(owner, n_targets)])].reset_index(drop=True)

    def _tidy(self, ids: pd.DataFrame, wide: dict[Hashable, dict[Hashable, np.ndarray]]) -> dict[Hashable, Any]:
        """Every number's columns in the user's units. All go back at once, so that a warning comes once."""
        frame = pd.concat([ids[[*self.own.series, self.own.time]]] * len(wide), ignore_index=True)
        for label in next(iter(wide.values())):
            frame[label] = np.concatenate([columns[label] for columns in wide.values()])
        tidy = self.pipeline.inverse_transform(frame)
        parts = {label: np.split(tidy[label].to_numpy(), len(wide)) for label in self.own.target}
        return {number: {label: parts[label][k] for label in parts} for k, number in enumerate(wide)}


def _spread(
    forecasts: pd.DataFrame, place: np.ndarray, number: Hashable, targets: Iterable[Hashable]
) -> dict[Hashable, np.ndarray]:
    """One column of forecasts per target, in the places of their rows."""
    columns = {}
    for target in targets:
        rows = (forecasts["target"] == target).to_numpy()
        columns[target] = np.full(place.max(initial=-1) + 1, np.nan)
        columns[target][place[rows]] = forecasts[number].to_numpy()[rows]
    return columns


def _long(ids: pd.DataFrame, tidy: dict[Hashable, Any], targets: tuple[Hashable, ...]) -> pd.DataFrame:
    """The rows of `ids` for every target with its numbers; a column `target` where there are several."""
    parts = []
    for target in targets:
        part = ids.copy()
        if len(targets) > 1:
            column = np.empty(len(part), dtype=object)
            column[:] = [target] * len(part)
            part.insert(part.shape[1] - ("lead" in part.columns), "target", pd.Series(column, index=part.index))
        for number, columns in tidy.items():
            part[number] = columns[target]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def fit_piping(pipeline: Any, df: pd.DataFrame, roles: Roles, outputs: Iterable[Hashable]) -> Straight | Piped:
    """Fit a copy of a pipeline, given by name or as an object, on training rows; None goes straight.

    outputs: the columns of the forecasts. Raises a SettingsError for quantiles of what the pipeline cannot give back.
    """
    copy = new_pipeline(pipeline, roles)
    if copy is None:
        return Straight(roles)
    own = _fitted_roles(copy, df, roles)
    if any(is_quantile(label) for label in outputs):
        raise_problems(SettingsError, _order_problems(copy, own.target, "quantiles asked"))
    parts = {name: getattr(own, name) for name in ("target", "known", "past", "static")}
    inner = {
        name: tuple(dict.fromkeys(output for label in labels for output in copy.outputs_of(label)))
        for name, labels in parts.items()
    }
    taken = set(inner["target"])
    inner |= {name: tuple(label for label in inner[name] if label not in taken) for name in ("known", "past", "static")}
    return Piped(copy, own, replace(own, **inner))


def check_order(model: Any, df: pd.DataFrame, roles: Roles, what: str) -> None:
    """Raise a SettingsError for targets without an order, such as directions, before `what` is made of numbers."""
    pipeline = new_pipeline(getattr(model, "pipeline", None), roles)
    if pipeline is not None:
        own = _fitted_roles(pipeline, df, roles)
        raise_problems(SettingsError, _order_problems(pipeline, own.target, what))


def _fitted_roles(pipeline: Any, df: pd.DataFrame, roles: Roles) -> Roles:
    """Fit a pipeline; give the roles in its tidy frame."""
    raw, time, _ = in_columns(df, roles.time, list(roles.series))
    own, _, _ = resolve(Source(pipeline.tidy(raw)), replace(roles, time=time))
    pipeline.fit(raw)
    return own


def _order_problems(pipeline: Any, targets: Iterable[Hashable], what: str) -> list[Problem]:
    hint = "Forecast it without (quantiles=() for the point forecast alone), or forecast its components."
    found = f"{what} of a column whose pipeline does not keep their order, as 359° and 1° are neighbours"
    wrong = [target for target in targets if not pipeline.keeps_order(target)]
    return [Problem(found, "a monotone way back", hint, column=label) for label in wrong]


def tidied(model: Any, df: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Give a user's frame in tidy columns where the model has a pipeline, for what its forecasts are compared with."""
    pipeline = new_pipeline(getattr(model, "pipeline", None), roles)
    return df if pipeline is None else pipeline.tidy(_flat(df, roles))


def freq_of(model: Any) -> Any:
    """Give a model's frequency: its own, or its pipeline's, or None."""
    own = getattr(model, "freq", None)
    pipeline = getattr(model, "pipeline", None) if own is None else None
    return own if pipeline is None else new_pipeline(pipeline, Roles()).freq


def pipeline_problems(pipeline: Any) -> list[Problem]:
    """Give the problem, if any, of what is to be a pipeline."""
    if pipeline is None or (isinstance(pipeline, str) and pipeline in PIPELINES):
        return []
    missing = [] if isinstance(pipeline, str) else [name for name in METHODS if not hasattr(type(pipeline), name)]
    if not missing and not isinstance(pipeline, str):
        return []
    found = f"pipeline={pipeline!r}" + (f" without {', '.join(missing)}" if missing else "")
    expected = f"one of {[None, *PIPELINES]}, or an object with {', '.join(METHODS)}"
    return [Problem(found, expected, "Pass one of them.")]


def new_pipeline(pipeline: Any, roles: Roles) -> Any:
    """Give an unfitted copy that knows the columns of time and series; None where there is none."""
    raise_problems(SettingsError, pipeline_problems(pipeline))
    if pipeline is None:
        return None
    if isinstance(pipeline, str):
        copy = PIPELINES[pipeline]()
    else:
        copy = clone(pipeline) if isinstance(pipeline, BaseEstimator) else deepcopy(pipeline)
    for name, label in {"time": roles.time, "series": _one(roles.series)}.items():
        if label is not None and getattr(copy, name, None) is None:
            setattr(copy, name, label)
    return copy


def _one(labels: tuple[Hashable, ...]) -> Any:
    return None if not labels else labels[0] if len(labels) == 1 else list(labels)


def _flat(df: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """The frame with times and series in columns, not in its index."""
    return in_columns(df, roles.time, list(roles.series))[0]
