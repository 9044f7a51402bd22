"""Origin ensembling: the mean of the forecasts that the last few origins made of the same times, for calm revisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import SettingsError, raise_problems
from hourglass_ts.forecast.checks import count_problems
from hourglass_ts.forecast.piping import check_order, freq_of, tidied
from hourglass_ts.forecast.rolling import Timeline, new_copy, rolling_forecasts
from hourglass_ts.forecast.truth import is_quantile
from hourglass_ts.forecast.wrapper import WrappedForecaster
from hourglass_ts.frames.origins import panel_times
from hourglass_ts.frames.roles import Roles
from hourglass_ts.frames.schema import check_frame
from hourglass_ts.frames.vintages import Vintages

ISSUED = "__issued__"


class OriginEnsemble(WrappedForecaster):
    """Average a model's newest forecast of every time with those that its last origins made of it.

    A forecast then moves less from origin to origin, and lags behind news: `revisions` and the scores of a backtest
    show both. The last leads, which earlier origins do not reach, are averages of fewer. Quantiles are averaged, too.

    Args:
        model: anything with `fit` and `forecast`.  origins: how many origins to average over, the newest included.

    Example:
        >>> from hourglass_ts.forecast.baselines import Naive
        >>> df = pd.DataFrame({"t": [1, 2, 3, 4], "y": [1.0, 2.0, 4.0, 8.0]})
        >>> model = OriginEnsemble(Naive(horizon=2), origins=2).fit(df, time="t", target="y")
        >>> model.forecast()["forecast"].tolist()
        [6.0, 8.0]
    """

    def __init__(self, model: Any, origins: int = 3) -> None:
        self.model = model
        self.origins = origins

    def fit(
        self,
        df: pd.DataFrame,
        *,
        time: Any = None,
        target: Any = None,
        series: Any = None,
        known: Any = None,
        past: Any = None,
        static: Any = None,
    ) -> Any:
        """Fit a copy of the model."""
        problems = count_problems(origins=self.origins)
        problems += self._model_problems()
        raise_problems(SettingsError, problems)
        named = Roles.from_arguments(time, target, series, known, past, static)
        check_order(self.model, df, named, "averages")
        df = tidied(self.model, df, named)
        panel = check_frame(df, named, freq_of(self.model))
        self.timeline_ = Timeline.of(df, panel.roles)
        self.model_ = new_copy(self.model).fit(df, **self.timeline_.arguments)
        return self

    def forecast(self, df: pd.DataFrame | None = None, *, known: pd.DataFrame | None = None) -> pd.DataFrame:
        """The averaged forecast from the end of `df`, or of the rows of `fit`; `known` as the model takes it."""
        self._check_fitted()
        timeline = self.timeline_ if df is None else self._timeline(df)
        times = self._times(timeline)
        roles, issues = timeline.roles, None
        if known is not None:
            labels = [roles.time, *roles.series, *roles.known]
            flat = [part if roles.time in part.columns else part.reset_index() for part in (timeline.df, known)]
            together = pd.concat([part[labels] for part in flat], ignore_index=True)
            issues = Vintages(together.assign(**{ISSUED: times[0]}), ISSUED, roles.time, roles.series)
        frame = self.forecast_from(timeline.df, [times[-1]], vintages=issues)
        return frame.drop(columns=["origin", "lead"])

    def forecast_from(
        self,
        df: pd.DataFrame,
        origins: Sequence[Any],
        *,
        vintages: Vintages | None = None,
        starts: Sequence[Any] | None = None,
    ) -> pd.DataFrame:
        """Forecast from every origin as `forecast` would at that time."""
        self._check_fitted()
        timeline = self._timeline(df)
        times = self._times(timeline)
        newest = times.searchsorted(pd.Index(origins), side="right") - 1
        begin_of = dict(zip(newest.tolist(), starts or [None] * len(newest), strict=True))
        begin = {
            p - age: begin_of[p] for p in sorted(begin_of, reverse=True) for age in range(self.origins) if p >= age
        }
        frame = rolling_forecasts(
            self.model_, timeline, list(times[list(begin)]), vintages=vintages, starts=list(begin.values())
        )
        made = times.get_indexer(pd.Index(frame["origin"]))
        parts = []
        for age in range(self.origins):
            rows = frame[np.isin(made + age, newest)]
            used_by = times[times.get_indexer(pd.Index(rows["origin"])) + age]
            parts.append(rows.assign(origin=used_by, lead=rows["lead"] if age == 0 else 0))
        return self._averaged(pd.concat(parts, ignore_index=True), timeline.roles)

    def _timeline(self, df: pd.DataFrame) -> Timeline:
        roles = self.timeline_.roles
        return Timeline.of(tidied(self.model, df, roles), roles)

    def _times(self, timeline: Timeline) -> pd.Index:
        return panel_times(check_frame(timeline.df, timeline.roles, freq_of(self.model)))

    def _averaged(self, frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
        """The mean over all forecasts of a time that one origin may use; times that its newest does not have go."""
        keys = ["origin", *roles.series, *(["target"] if len(roles.target) > 1 else []), roles.time]
        values = ["forecast", *[label for label in frame.columns if is_quantile(label)]]
        grouped = frame.groupby(keys, observed=True, sort=False)
        table = grouped.agg({"lead": "max", **dict.fromkeys(values, "mean")}).reset_index()
        return table[table["lead"] > 0].sort_values(keys, ignore_index=True)
