"""`HourGlassForecaster`: fit on a DataFrame, forecast the future, save and load."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hourglass_ts.errors import Problem, SettingsError, raise_problems
from hourglass_ts.evaluate.backtest import backtest
from hourglass_ts.evaluate.explain import Explanation, explain
from hourglass_ts.evaluate.leakage import audit
from hourglass_ts.evaluate.leaks.result import AuditResult
from hourglass_ts.evaluate.result import Backtest
from hourglass_ts.forecast.checks import count_problems, quantile_names, quantile_problems
from hourglass_ts.forecast.defaults import FitSettings, resolved
from hourglass_ts.forecast.neural import TrainedHourGlass, recent_rows
from hourglass_ts.forecast.piping import Piped, Straight, freq_of, pipeline_problems, tidied
from hourglass_ts.forecast.plan import WindowPlan
from hourglass_ts.forecast.protocol import PanelForecaster
from hourglass_ts.forecast.rolling import new_copy
from hourglass_ts.forecast.storage import load_model, save_model
from hourglass_ts.forecast.training import Clock, TrainingSettings, accelerator_problems
from hourglass_ts.forecast.warm_start import warm_start_problems
from hourglass_ts.frames.features import TimeFeature, holiday_features
from hourglass_ts.frames.origins import View, seen_from
from hourglass_ts.frames.roles import Roles
from hourglass_ts.frames.schema import STEP, UNIT, Panel
from hourglass_ts.layers.attention import layer_problems
from hourglass_ts.layers.checks import is_integer, size_problems
from hourglass_ts.network.network import normalise_problems
from hourglass_ts.windows.fill import fill_panel, fill_problems, lay_placeholders
from hourglass_ts.windows.normalise import check_transform, transform_problems
from hourglass_ts.windows.transforms import TRANSFORMS


class HourGlassForecaster(PanelForecaster):
    """Forecast pandas series: a ridge floor, and a causal HourGlass transformer for what a line cannot learn.

    Args:
        horizon: steps to forecast.
        context: steps of history to look at; None takes 8 seasons (8 days of hours, 8 weeks of days) or 2 horizons,
            whichever is longer, at most 512 and a quarter of a typical series.
        freq: pandas alias, offset or integer step, or an exchange ("XNYS") for its sessions; a dict for one per series;
            None infers it.
        shortening_factors: how strongly each level of the hourglass shortens; [1] does not. None takes [2, 2], but [2]
            where the context has 4 tokens or less, and [1] where it has 2.
        quantiles: levels of the `q…` columns; () for the point forecast alone. `forecast` is floor + share × residual;
            `q0.5` is the median, which differs where errors are skewed.
        max_epochs: at most, None takes 20; training stops early on a validation tail of every series.
        time_budget: seconds for the whole of `fit`, floor included, or None. The learning rate ends its cycle in time.
        seed: same seed, same data, same forecast.  accelerator: Lightning's.  progress: show a bar.
        fill: how holes are filled and then counted as observed: "last", "seasonal" or a number; None leaves them holes.
        transform: "log" or "box-cox" for positive series that change by rates, "log1p", "yeo-johnson" for any values.
        scaler: what each series' training rows are scaled by: "standard", "robust" (median, quartiles), or None.
        normalise: what each window is measured in: "last", "prefix", "robust" or "series"; see `HourGlassModel`.
        floor: False leaves the network alone.
        patch, d_model, n_heads, d_ff, dropout: the network's sizes; patch None makes a dozen tokens of a short context,
            tokens of 16 steps of a long one.
        learning_rate: the highest of one cycle, of Adam.  patience: epochs without improvement before stopping.
        steps_per_epoch: batches of 256 windows drawn at random, of fewer where covariates are very many; None takes 50,
            down to 10 where an epoch would draw a window more than 16 times.
        pipeline: an object with the methods of `frames.pipelines.Pipeline`: fitted with the model, on its rows alone,
            and undone in its forecasts; its columns of the time are known ahead.
        holidays: known columns without a frame: a country ("US", "DE-BY"), an exchange ("XNYS"), or dates.

    Example:
        >>> df = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=60), "y": np.tile([1.0, 2.0, 4.0], 20)})
        >>> model = HourGlassForecaster(horizon=2, max_epochs=1, progress=False).fit(df, time="day", target="y")
        >>> list(model.forecast())
        ['day', 'forecast', 'q0.1', 'q0.5', 'q0.9']

    Fitted attributes: `share_` the network's share of the forecast; `settings_` what was chosen, and `describe()`s it;
    `curve_` seconds, validation loss and share epoch by epoch; `notes_` what the data checks dropped or laid in.
    """

    takes_new_series: ClassVar[bool] = True

    def __init__(
        self,
        horizon: int,
        context: int | None = None,
        freq: Any = None,
        shortening_factors: Sequence[int] | None = None,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        max_epochs: int | None = None,
        time_budget: float | None = None,
        seed: int = 0,
        accelerator: str = "auto",
        progress: bool = True,
        *,
        fill: str | float | None = None,
        transform: str | None = None,
        scaler: str | None = "standard",
        normalise: str = "last",
        floor: bool = True,
        patch: int | None = None,
        d_model: int = 64,
        n_heads: int = 4,
        d_ff: int = 128,
        dropout: float = 0.0,
        learning_rate: float = 2e-3,
        patience: int = 8,
        steps_per_epoch: int | None = None,
        holidays: Any = None,
        pipeline: Any = None,
    ) -> None:
        self.horizon = horizon
        self.context = context
        self.freq = freq
        self.shortening_factors = shortening_factors
        self.quantiles = quantiles
        self.max_epochs = max_epochs
        self.time_budget = time_budget
        self.seed = seed
        self.accelerator = accelerator
        self.progress = progress
        self.fill = fill
        self.transform = transform
        self.scaler = scaler
        self.normalise = normalise
        self.floor = floor
        self.patch = patch
        self.d_model = d_model
        self.n_heads = n_heads
        self.d_ff = d_ff
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.patience = patience
        self.steps_per_epoch = steps_per_epoch
        self.holidays = holidays
        self.pipeline = pipeline

    def fit(
        self,
        df: pd.DataFrame,
        *,
        time: Hashable = None,
        target: Any = None,
        series: Any = None,
        known: Any = (),
        past: Any = (),
        static: Any = (),
        warm_start: bool = False,
    ) -> HourGlassForecaster:
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
            warm_start: go on from the weights of the last fit, and with what it knows of covariates, on other rows and
                series. The floor, each series' scale and the network's share are fitted anew, and fairly so where the
                last rows are newer than those of the last fit. Without a fit, a first.

        Raises:
            DataError: with every problem of the frame. SettingsError: with every problem of the settings, or with all
                that a fit must have in common with the one it goes on from.
        """
        clock = Clock(self.time_budget)
        piping, panel = self._training_panel(df, time, target, series, known, past, static)
        earlier = self.trained_ if warm_start and hasattr(self, "trained_") else None
        if earlier is not None:
            raise_problems(SettingsError, self._warm_start_problems(earlier, piping, panel))
        self._fit_panel(panel, clock, earlier)
        return self._fitted(piping, panel)

    def backtest(
        self, df: pd.DataFrame, *, folds: int | Sequence[Any] = 8, time: Any = None, target: Any = None, **options: Any
    ) -> Backtest:
        """Score copies of this forecaster over the origins of a held-out last stretch, with baselines beside them.

        Args:
            df, time, target, …: as in `fit`; without time and target the roles of an earlier `fit` stand.
            folds: how many origins, the last one a horizon before the end of the data; or the origins themselves.
            options: series, known, past and static columns, and all that `hourglass_ts.backtest` takes.
        """
        roles = self._roles_or_fitted(time, target, options)
        return backtest({type(self).__name__: self}, df, folds=folds, **{"freq": freq_of(self), **roles, **options})

    def audit(self, df: pd.DataFrame, *, time: Any = None, target: Any = None, **options: Any) -> AuditResult:
        """Look for leaks of the future in the columns of `df` and in copies of this forecaster that are fitted on it.

        Args:
            df, time, target, …: as in `fit`; without time and target the roles of an earlier `fit` stand.
            options: series, known, past and static columns, and all that `hourglass_ts.audit` takes.
        """
        roles = self._roles_or_fitted(time, target, options)
        if self.pipeline is not None:
            prepare = options.get("prepare") or (lambda frame: frame)
            own = Roles.from_arguments(roles.get("time"), series={**roles, **options}.get("series"))
            options["prepare"] = lambda frame: tidied(self, prepare(frame), own)
        return audit(new_copy(self), df, **roles, **options)

    def explain(self, df: pd.DataFrame, origins: Sequence[Any] | None = None, **options: Any) -> Explanation:
        """What the forecasts are made of: shares of floor and network, levels, covariates, attention over time.

        Args:
            df: rows of fitted series, best such as were not fitted on.
            origins: times to forecast from; None takes up to 100, the last that have a horizon of values after them.
            options: `seed` and `repeats` of the exchanges behind the covariates' importance.
        """
        return explain(self, df, origins, **options)

    def _roles_or_fitted(self, time: Any, target: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """The roles of columns: as given, or those of `fit` where neither time nor target is."""
        if time is not None or target is not None or not hasattr(self, "roles_"):
            return {"time": time, "target": target}
        fitted = {name: part for name, part in asdict(self.roles_).items() if part not in ((), None)}
        listed = {
            name: list(part) if isinstance(part, tuple) and name != "time" else part for name, part in fitted.items()
        }
        return {name: part for name, part in listed.items() if name not in options}

    @property
    def share_(self) -> float:
        """The network's share of the forecast, fitted on validation: 0 leaves the floor, 1 takes all of it."""
        self._check_fitted()
        return self.trained_.share

    @property
    def settings_(self) -> FitSettings:
        """What was given or chosen from the data; `describe()` says it in words."""
        self._check_fitted()
        return self.trained_.settings

    @property
    def curve_(self) -> pd.DataFrame:
        """The learning curve: for every validation its epoch and step, seconds and CPU seconds since `fit` began, the
        validation loss, and the network's share; epoch 0 is what a warm start begins with."""
        self._check_fitted()
        return self.trained_.curve

    def save(self, directory: str | Path) -> None:
        """Write the fitted model into a new or replaced directory: safetensors, JSON and checksums; no pickle."""
        self._check_fitted()
        params = self.get_params(deep=False)
        save_model(Path(directory), params, self.piping_, self.history_, self.notes_, self.trained_)

    @classmethod
    def load(cls, directory: str | Path, pipeline: Any = None) -> HourGlassForecaster:
        """Read what `save` wrote; its forecasts are the same to the last bit.

        pipeline: the class of the model's pipeline where it is none of the library's.
        """
        params, piping, panel, trained = load_model(Path(directory), pipeline)
        model = cls(**params)
        model.trained_, model.horizon_ = trained, trained.plan.horizon
        model.piping_, model.roles_ = piping, piping.own_roles(panel.given_roles)
        model.keys_, model.history_, model.notes_ = panel.keys, panel, panel.notes
        return model

    def _setting_problems(self) -> list[Problem]:
        chosen = ("context", "patch", "max_epochs", "steps_per_epoch")
        counts = {name: getattr(self, name) for name in ("horizon", "patience")}
        counts |= {name: getattr(self, name) for name in chosen if getattr(self, name) is not None}
        return [
            *count_problems(**counts),
            *_patch_problems(self.patch, self.context),
            *layer_problems(self.d_model, self.n_heads, self.d_ff, self.dropout, None, "rotary", "layer"),
            *_factor_problems(self.shortening_factors),
            *quantile_problems(self.quantiles),
            *_number_problems(self.time_budget, self.learning_rate),
            *_seed_problems(self.seed),
            *fill_problems(self.fill),
            *_fill_range_problems(self.fill, self.transform),
            *transform_problems(self.transform, self.scaler),
            *normalise_problems(self.normalise),
            *accelerator_problems(self.accelerator),
            *pipeline_problems(self.pipeline),
        ]

    def _features(self) -> tuple[TimeFeature, ...]:
        return holiday_features(self.holidays)

    def _output_names(self) -> tuple[str, ...]:
        return ("forecast", *quantile_names(self.quantiles))

    def _prepare(self, panel: Panel) -> Panel:
        return lay_placeholders(fill_panel(panel, self.fill))

    def _fit_panel(self, panel: Panel, clock: Clock | None = None, earlier: TrainedHourGlass | None = None) -> None:
        check_transform(panel, self.transform)
        context, patch, factors = self.context, self.patch, self.shortening_factors
        if earlier is not None:
            own = earlier.model.network.config
            context, patch, factors = own.context, own.patch, own.shortening_factors
        plan = WindowPlan.of(panel, self.horizon, context)
        names = ("normalise", "floor", "d_model", "n_heads", "d_ff", "dropout", "learning_rate")
        network = {name: getattr(self, name) for name in names}
        network["patch"], network["shortening_factors"] = resolved(plan.context, patch, factors)
        self.trained_ = TrainedHourGlass.fit(
            panel,
            plan,
            quantiles=tuple(float(level) for level in self.quantiles),
            transform=self.transform,
            scaler=self.scaler,
            network=network,
            training=TrainingSettings(
                max_epochs=self.max_epochs,
                steps_per_epoch=self.steps_per_epoch,
                patience=self.patience,
                accelerator=self.accelerator,
                seed=self.seed,
                progress=self.progress,
            ),
            clock=clock or Clock(self.time_budget),
            earlier=earlier,
        )

    def _warm_start_problems(self, earlier: TrainedHourGlass, piping: Straight | Piped, panel: Panel) -> list[Problem]:
        """What of settings and data differs from the fit that is to be gone on from."""
        sizes = ("horizon", "context", "patch", "shortening_factors", "d_model", "n_heads", "d_ff")
        settings = {name: getattr(self, name) for name in (*sizes, "transform", "scaler", "normalise", "floor")}
        settings["quantiles"] = [float(level) for level in self.quantiles]
        problems = warm_start_problems(earlier, self.history_, panel, settings)
        kinds = [type(getattr(part, "pipeline", None)) for part in (piping, self.piping_)]
        if kinds[0] is not kinds[1]:
            found, expected = (f"pipeline of class {kind.__name__}" for kind in kinds)
            problems.append(
                Problem(found, f"{expected}, as in the fit to go on from", "Pass it, or fit without warm_start.")
            )
        return problems

    def _history(self, panel: Panel) -> Panel:
        """The rows that a forecast can reach; those alone are kept and saved."""
        table = recent_rows(panel, self.trained_.plan.context)
        table[STEP] = table.groupby(UNIT).cumcount().to_numpy()
        return replace(panel, table=table)

    def _forecast_panel(self, panel: Panel, codes: np.ndarray, future: pd.DataFrame) -> dict[str, np.ndarray]:
        check_transform(panel, self.transform)
        return self.trained_.forecast(panel, codes, future)

    def _forecast_views(
        self, views: Sequence[View], futures: Sequence[pd.DataFrame], codes: np.ndarray, *, own_known: bool
    ) -> Iterator[dict[str, np.ndarray]]:
        """All at once, but for units that were not fitted and for views that need other rows than the panel's own."""
        inside = [
            (codes[view.units] >= 0) & (own_known and view.is_whole and view.goes_on(self.horizon_)) for view in views
        ]
        easy = [_units_of(view, own) for view, own in zip(views, inside, strict=True) if own.any()]
        together = iter(self._forecast_within(easy, codes))
        for view, future, own in zip(views, futures, inside, strict=True):
            parts = [next(together)] if own.any() else []
            if not own.all():
                others = _rows_of(future, np.flatnonzero(~own))
                parts += super()._forecast_views([_units_of(view, ~own)], [others], codes, own_known=own_known)
            place = np.concatenate([np.flatnonzero(own), np.flatnonzero(~own)]).argsort()
            yield {name: np.concatenate([part[name] for part in parts])[place] for name in parts[0]}

    def _forecast_within(self, views: Sequence[View], codes: np.ndarray) -> list[dict[str, np.ndarray]]:
        if not views:
            return []
        panel = self._prepare(seen_from(views))
        check_transform(panel, self.transform)
        unit, row = (np.concatenate([getattr(view, name) for view in views]) for name in ("units", "ends"))
        columns = self.trained_.forecast_within(panel, codes, unit, row)
        parts = np.split(np.arange(len(unit)), np.cumsum([len(view.units) for view in views])[:-1])
        return [{name: column[part] for name, column in columns.items()} for part in parts]


def _units_of(view: View, own: np.ndarray) -> View:
    """Some units of a view. own: (n,) bool."""
    return replace(view, units=view.units[own], starts=view.starts[own], ends=view.ends[own])


def _rows_of(future: pd.DataFrame, units: np.ndarray) -> pd.DataFrame:
    """The rows of some units, numbered anew in their order."""
    place = pd.Index(units).get_indexer(future[UNIT])
    return future.assign(**{UNIT: place})[place >= 0].reset_index(drop=True)


def _fill_range_problems(fill: Any, transform: Any) -> list[Problem]:
    if fill_problems(fill) or transform_problems(transform) or fill is None or isinstance(fill, str):
        return []
    above = TRANSFORMS[transform].above
    if fill > above:
        return []
    return [
        Problem(
            f"fill={fill!r} with transform={transform!r}",
            f"a number above {above:g}",
            "Change the fill or the transform.",
        )
    ]


def _patch_problems(patch: Any, context: Any) -> list[Problem]:
    if is_integer(patch) and is_integer(context) and patch > context:
        return [Problem(f"patch={patch}", f"at most the context of {context} steps", "Pass a shorter patch.")]
    return []


def _factor_problems(factors: Any) -> list[Problem]:
    if factors is None:
        return []
    listed = list(factors) if isinstance(factors, (list, tuple)) else []
    if listed and not size_problems(**{str(place): factor for place, factor in enumerate(listed)}):
        return []
    return [
        Problem(
            f"shortening_factors={factors!r}", "a list of integers of 1 or more", "Pass for example [2, 2], or [1]."
        )
    ]


def _number_problems(time_budget: Any, learning_rate: Any) -> list[Problem]:
    problems = []
    if time_budget is not None and not _is_positive(time_budget):
        problems.append(Problem(f"time_budget={time_budget!r}", "seconds above 0, or None", "Pass another."))
    if not _is_positive(learning_rate):
        problems.append(Problem(f"learning_rate={learning_rate!r}", "a number above 0", "Pass for example 1e-3."))
    return problems


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _seed_problems(seed: Any) -> list[Problem]:
    if is_integer(seed) and 0 <= seed < 2**63:
        return []
    return [Problem(f"seed={seed!r}", "an integer of 0 or more", "Pass for example seed=0.")]
