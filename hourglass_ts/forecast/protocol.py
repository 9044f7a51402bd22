"""What anything that forecasts offers, and the way from a user's frame to arrays and back that all of ours share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from hourglass_ts.errors import DataError, NotFittedError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.forecast.checks import count_problems
from hourglass_ts.forecast.piping import Piped, Straight, fit_piping
from hourglass_ts.frames.calendars import Calendar
from hourglass_ts.frames.features import TimeFeature
from hourglass_ts.frames.origins import View, on_clock, view_from
from hourglass_ts.frames.schema import OBSERVED, TIME, UNIT, Panel, Roles, check_frame, future_rows, unit_names
from hourglass_ts.frames.vintages import Vintages

Self = TypeVar("Self", bound="PanelForecaster")
MOST_HOLES = 0.5
"""A new series with fewer of its steps observed is one in longer steps, it seems."""
FEW_ROWS = 24
"""With less, the spread of a window is below the series' own: of 80 % intervals 25 to 60 % held."""


class Forecaster(Protocol):
    """Anything with this pair of methods can be scored beside ours."""

    def fit(self, df: pd.DataFrame, *, time: Hashable, target: Any, series: Any = None, **roles: Any) -> Any:
        """Learn from a frame; return self."""

    def forecast(self, df: pd.DataFrame | None = None, *, known: pd.DataFrame | None = None) -> pd.DataFrame:
        """Forecast the steps after the last observed time of each series, as a long frame.

        df: the history to forecast from; None takes that of `fit`.  known: future rows of the known columns; left out
        where there are none.  The frame has the series columns, the time column, `target` where there are several,
        `forecast`, and quantiles as `q0.1` … where the model has them.
        """


class PanelForecaster(BaseEstimator):
    """A forecaster on checked panels: subclasses fit a `Panel` and forecast arrays; frames and errors are handled here.

    Subclasses have the parameters `horizon` and `freq`, and set nothing in `__init__` but their parameters.
    takes_new_series: whether `_forecast_panel` can do with units that were not fitted.
    """

    horizon: int
    freq: Any
    pipeline: Any = None
    takes_new_series: ClassVar[bool] = False

    def fit(
        self: Self,
        df: pd.DataFrame,
        *,
        time: Hashable = None,
        target: Any = None,
        series: Any = None,
        known: Any = (),
        past: Any = (),
        static: Any = (),
    ) -> Self:
        """Fit on a frame.

        Args:
            df: one row per series and time (long), or one column per series (wide). Any order; gaps and NaN allowed.
            time: the column with dates or integers; None takes the index.
            target: the column to forecast; a list for several, and then forecasts have a `target` column; None takes
                every numeric column without a role (a wide frame).
            series: the column, or columns, that tell series apart; None for one series.
            known: a column, or a list of those, known beforehand; `forecast(known=...)` needs their future rows.
            past: columns known up to now alone.
            static: columns that never change in a series.

        Raises:
            DataError: with every problem of the frame. SettingsError: with every problem of the settings.
        """
        piping, panel = self._training_panel(df, time, target, series, known, past, static)
        self._fit_panel(panel)
        return self._fitted(piping, panel)

    def _training_panel(
        self, df: pd.DataFrame, time: Hashable, target: Any, series: Any, known: Any, past: Any, static: Any
    ) -> tuple[Straight | Piped, Panel]:
        """Check settings and frame; give the way of the data into the model, and what it is to learn from."""
        raise_problems(SettingsError, self._setting_problems())
        listed = [_labels(df, given) for given in (known, past, static)]
        roles = Roles.from_arguments(time, target, series, *listed)
        piping = fit_piping(self.pipeline, df, roles, self._output_names())
        freq = piping.freq if self.freq is None else self.freq
        features = tuple(dict.fromkeys((*self._features(), *piping.features)))
        checked = check_frame(piping.frame(df), piping.roles, freq, features)
        panel = self._prepare(replace(checked, notes=(*piping.notes, *checked.notes)))
        raise_problems(DataError, _clashes(panel, self._output_names()))
        return piping, panel

    def _fitted(self: Self, piping: Straight | Piped, panel: Panel) -> Self:
        """Keep what `forecast` needs, once all is learnt."""
        self.piping_ = piping
        self.horizon_ = int(self.horizon)
        self.roles_ = piping.own_roles(panel.given_roles)
        self.keys_ = panel.keys
        self.history_ = self._history(panel)
        self.notes_ = panel.notes
        return self

    def forecast(
        self,
        df: pd.DataFrame | None = None,
        *,
        known: pd.DataFrame | None = None,
        horizon: int | None = None,
        freq: Any = None,
    ) -> pd.DataFrame:
        """Forecast the steps right after each series' last observed time.

        Args:
            df: new history; nothing is fitted again. None forecasts from the end of `fit`. Series that were not fitted
                are refused, or, where the forecaster can do without having seen them, named in a warning.
            known: future rows of the known columns.
            horizon: steps, at most the fitted horizon; None takes all of it.
            freq: of `df`, where all its series are new and in other steps than the fitted ones.

        Returns:
            A long frame: the series columns, the time column, `target` where there are several, `forecast`, and one
            column per quantile (`q0.1` …).
        """
        self._check_fitted()
        steps = self._steps(horizon)
        if df is None and freq is not None:
            problem = Problem(
                f"freq={freq!r} without a frame", "the frame whose steps it names", "Pass df, or no freq."
            )
            raise_problem(SettingsError, problem)
        if df is None:
            panel, codes = self.history_, np.arange(len(self.keys_))
        else:
            panel, codes = self._read(df, freq)
            if not self.takes_new_series:
                self._check_fitted_on(panel, codes)
            panel = self._prepare(panel)
        future = future_rows(panel, steps, None if known is None else self.piping_.frame(known))
        self._tell_of_new_series(panel, codes)
        values = self._forecast_panel(panel, codes, future)
        return self.piping_.invert(self._frame(panel.keys, future, values, steps))

    def forecast_from(
        self,
        df: pd.DataFrame,
        origins: Sequence[Any],
        *,
        vintages: Vintages | None = None,
        starts: Sequence[Any] | None = None,
    ) -> pd.DataFrame:
        """Forecast from every origin as `forecast` would at that time; nothing is fitted again.

        Args:
            df: a frame that goes on after the origins. A forecast sees its rows up to the origin, and after it those
                of the known columns alone. Left out are series that have no row by then, or no known values, or that
                were not fitted where the forecaster cannot do without.
            origins: times; without a zone they are read on the data's own clock.
            vintages: the known columns as they were issued.
            starts: the first time in view, for every origin; None shows all history.

        Returns:
            `forecast`'s frame with `origin` and `lead` (1 is the step after the series' last observation in view).
        """
        self._check_fitted()
        panel, codes = self._read(df)
        raise_problems(DataError, _clashes(panel, ("origin", "lead", *self._output_names())))
        if vintages is not None:
            vintages.check(self.roles_.known, pd.Index(panel.table[TIME]))
        times = pd.Index(panel.table[TIME])
        origins = [on_clock(origin, times) for origin in origins]
        among = (codes >= 0) | self.takes_new_series
        looks = [
            view_from(panel, origin, self.horizon_, among=among, given_known=vintages is not None, start=start)
            for origin, start in zip(origins, starts or [None] * len(origins), strict=True)
        ]
        views = [view for view in looks if len(view.units)]
        futures = [
            view.future(self.horizon_, None if vintages is None else self.piping_.frame(vintages.known_at(view.origin)))
            for view in views
        ]
        forecasts = self._forecast_views(views, futures, codes, own_known=vintages is None)
        parts = [self._view_frame(*one) for one in zip(views, futures, forecasts, strict=True)]
        if not parts:
            nothing = np.zeros((0, self.horizon_))
            view = View(panel, panel.table[TIME].iloc[0], *[nothing.astype(np.int64)[:, 0]] * 3)
            parts = [self._view_frame(view, view.future(self.horizon_), dict.fromkeys(self._output_names(), nothing))]
        return self.piping_.invert(pd.concat(parts, ignore_index=True))

    def _view_frame(self, view: View, future: pd.DataFrame, values: dict[str, np.ndarray]) -> pd.DataFrame:
        frame = self._frame(view.panel.keys.iloc[view.units], future, values, self.horizon_)
        frame.insert(0, "origin", view.origin)
        lead = np.tile(np.arange(self.horizon_) + 1, len(view.units))
        frame.insert(frame.columns.get_loc("forecast"), "lead", lead)
        return frame

    def _forecast_views(
        self, views: Sequence[View], futures: Sequence[pd.DataFrame], codes: np.ndarray, *, own_known: bool
    ) -> Iterator[dict[str, np.ndarray]]:
        """The columns of forecasts from every view, given the rows that follow it.

        codes (n_units,): the fitted numbers of the whole panel's units.  own_known: futures are the panel's own.
        """
        for view, future in zip(views, futures, strict=True):
            yield self._forecast_panel(self._prepare(view.past()), codes[view.units], future)

    def _read(self, df: pd.DataFrame, freq: Any = None) -> tuple[Panel, np.ndarray]:
        """A frame as a checked panel on the fitted calendars, and the fitted number of each of its units, or -1.

        freq: the frame's own frequency, which fitted series cannot have where it is another.
        """
        roles, features = self.history_.given_roles, self.history_.features
        panel = check_frame(self.piping_.frame(df), roles, self._fitted_freq() if freq is None else freq, features)
        codes = self._codes(panel)
        self._check_calendars(panel, codes)
        return panel, codes

    def _prepare(self, panel: Panel) -> Panel:
        """The panel as this forecaster wants it, in `fit` and in `forecast(df)`."""
        return panel

    @abstractmethod
    def _fit_panel(self, panel: Panel) -> None:
        """Learn from a checked panel."""

    @abstractmethod
    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        """Give columns of forecasts, each (n_units, horizon_).

        codes (n_units,): the fitted numbers of the units.  future: the rows to forecast, which may be fewer.
        """

    def _features(self) -> tuple[TimeFeature, ...]:
        """The known columns to make from the time."""
        return ()

    def _output_names(self) -> tuple[str, ...]:
        """The columns of forecasts that `_forecast_panel` gives."""
        return ("forecast",)

    def _history(self, panel: Panel) -> Panel:
        """The part of the panel that `forecast()` needs later."""
        return panel

    def _setting_problems(self) -> list[Problem]:
        """What is wrong with the parameters."""
        return count_problems(horizon=self.horizon)

    def _check_fitted(self) -> None:
        if not hasattr(self, "history_"):
            raise_problem(
                NotFittedError,
                Problem(f"a {type(self).__name__} that was not fitted", "a fitted one", "Call fit(df, ...) first."),
            )

    def _steps(self, horizon: int | None) -> int:
        steps = self.horizon_ if horizon is None else horizon
        problems = count_problems(horizon=steps)
        if not problems and steps > self.horizon_:
            problems = [
                Problem(
                    f"horizon={steps}",
                    f"at most the fitted horizon of {self.horizon_} steps",
                    f"Fit a forecaster with horizon={steps}.",
                )
            ]
        raise_problems(SettingsError, problems)
        return int(steps)

    def _codes(self, panel: Panel) -> np.ndarray:
        """The fitted number of each unit of a new panel; -1 for those that were not fitted."""
        if not len(panel.keys.columns):
            return np.zeros(len(panel.keys), dtype=np.int64)
        fitted = pd.MultiIndex.from_frame(self.keys_.astype(object))
        return fitted.get_indexer(pd.MultiIndex.from_frame(panel.keys.astype(object)))

    def _check_fitted_on(self, panel: Panel, codes: np.ndarray) -> None:
        unknown = panel.keys[codes < 0]
        if len(unknown):
            first = unknown.iloc[0].tolist()
            raise_problem(
                DataError,
                Problem(
                    f"{len(unknown)} series that the model was not fitted on",
                    f"some of the {len(self.keys_)} fitted ones",
                    "Fit again with them, or leave them out.",
                    column=self.roles_.series[0] if len(self.roles_.series) == 1 else None,
                    series=first[0] if len(first) == 1 else tuple(first),
                ),
            )

    def _tell_of_new_series(self, panel: Panel, codes: np.ndarray) -> None:
        """Warn that series are forecast by what others taught, and where their steps are not the fitted ones."""
        new = np.flatnonzero(codes < 0)
        if not len(new):
            return
        name = unit_names(panel.keys, panel.roles, new[:1])[0]
        text = (
            f"{len(new):,} of {len(codes):,} series were not fitted, first {name}: they are forecast by what the "
            "fitted ones have in common, each in the scale of its own rows."
        )
        n_rows = panel.table[OBSERVED].groupby(panel.table[UNIT]).sum().iloc[new]
        if n_short := int((n_rows < FEW_ROWS).sum()):
            text += f" {n_short:,} have fewer than {FEW_ROWS} values, and intervals that are too narrow."
        steps = sorted({str(panel.calendars[unit].freq) for unit in new})
        fitted = sorted({str(calendar.freq) for calendar in self.history_.calendars})
        if not set(steps) <= set(fitted):
            text += f" Their steps are {', '.join(steps)}, the fitted ones {', '.join(fitted)}."
        observed = panel.table[OBSERVED].groupby(panel.table[UNIT]).mean()
        if observed.iloc[new].median() < MOST_HOLES:
            text += f" Most of their rows are missing in steps of {', '.join(steps)}: pass `freq` if theirs are others."
        warnings.warn(text, stacklevel=3)

    def _fitted_freq(self) -> Any:
        """The frequency of `fit`, since a short or holey history may not show it; None where series have their own."""
        return common_freq(self.history_.calendars, self.freq)

    def _check_calendars(self, panel: Panel, codes: np.ndarray) -> None:
        """Refuse series whose new history shows another frequency than the fitted one."""
        for unit in np.flatnonzero(codes >= 0):
            found, fitted = panel.calendars[unit], self.history_.calendars[codes[unit]]
            if found.tz != fitted.tz:
                zones = [f"times in {zone}" if zone else "times without a time zone" for zone in (found.tz, fitted.tz)]
                hint, expected = "Convert them with .dt.tz_localize or .dt.tz_convert.", f"{zones[1]}, as in the fit"
                raise_problem(DataError, Problem(zones[0], expected, hint, column=self.roles_.time))
            if found != fitted:
                name = unit_names(panel.keys, panel.roles, np.array([unit]))[0] or "the series"
                raise_problem(
                    DataError,
                    Problem(
                        f"steps of {found.freq!r} in {name}",
                        f"steps of {fitted.freq!r}, as in the data of the fit",
                        "Bring more rows of it, or fit again.",
                        column=self.roles_.time,
                    ),
                )

    def _frame(
        self, keys: pd.DataFrame, future: pd.DataFrame, values: dict[str, np.ndarray], steps: int
    ) -> pd.DataFrame:
        """One row per unit of `keys` and future step."""
        keys = keys.iloc[future[UNIT].to_numpy()].reset_index(drop=True)
        parts = [keys.iloc[:, place] for place in range(keys.shape[1])]
        parts.insert(len(self.roles_.series), future[TIME])
        parts += [pd.Series(array[:, :steps].reshape(-1)) for array in values.values()]
        frame = pd.DataFrame(dict(enumerate(parts)))
        frame.columns = pd.Index(_frame_labels(self.roles_, keys, values), tupleize_cols=False)
        return frame


def common_freq(calendars: Iterable[Calendar], given: Any) -> Any:
    """The frequency that these calendars share; the one that was given where they share none."""
    kinds = set(calendars)
    if len(kinds) == 1:
        calendar = kinds.pop()
        return calendar.offset if calendar.weekmask or calendar.holidays else calendar.freq
    aliases = {str(calendar.freq).partition("-")[0] for calendar in kinds}
    is_weekly = len(aliases) == 1 and next(iter(aliases)).endswith("W")
    return aliases.pop() if is_weekly else given


def _frame_labels(roles: Roles, keys: pd.DataFrame, outputs: Iterable[str]) -> list[Hashable]:
    """The columns of a forecast frame: series, time, `target` where there are several, forecasts."""
    n_series = len(roles.series)
    labels: list[Hashable] = list(keys.columns)
    return [*labels[:n_series], roles.time, *labels[n_series:], *outputs]


def _clashes(panel: Panel, outputs: Iterable[str]) -> list[Problem]:
    """One problem for every label that a forecast frame would have twice."""
    labels = _frame_labels(panel.roles, panel.keys, outputs)
    return [
        Problem("a name that the forecast's own columns have", "another name", "Rename the column.", column=label)
        for label in dict.fromkeys(labels)
        if labels.count(label) > 1
    ]


def _labels(df: Any, given: Any) -> list[Hashable]:
    """Covariate labels as a list: one label alone is taken as such, a tuple where the frame has such a column."""
    alone = isinstance(given, str) or not isinstance(given, Iterable)
    if given is None or (isinstance(given, tuple) and not given):
        return []
    if alone or (isinstance(given, tuple) and isinstance(df, pd.DataFrame) and given in df.columns.to_flat_index()):
        return [given]
    return list(given)
