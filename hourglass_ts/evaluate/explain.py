"""What a fitted forecaster's forecasts are made of: floor and network, levels, covariates, attention over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from hourglass_ts.errors import Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.evaluate.explain_covariates import importances
from hourglass_ts.evaluate.explain_network import attention_weights, level_effects, levels
from hourglass_ts.evaluate.explain_sample import Sample, draw_sample
from hourglass_ts.forecast.checks import count_problems
from hourglass_ts.forecast.neural import TrainedHourGlass
from hourglass_ts.forecast.protocol import PanelForecaster
from hourglass_ts.metrics.comparison import Interval


@dataclass(frozen=True, eq=False)
class Explanation:
    """What forecasts are made of, in the mean over the windows at some origins.

    share: the network's, 0 to 1: forecast = floor + share × residual.
    parts: lead, and mean absolute sizes in the target's unit: `floor`, from the last value to the floor; `network`,
        from there to the forecast, share × residual; `forecast`, from the last value to it. With a transform each end
        is taken back into the target's unit before the difference.
    levels: level, factor (product of the shortening factors down to it), steps (of the series, in one token), share:
        what is known of a window takes the skip of some level, or the layers of the innermost; one level at a time
        gets the mean over all windows there, which says nothing of any, and the shares are how far that moves the
        forecast, in the mean of absolute changes, relative to each other. Their sum is 1; all are 0 where nothing
        moves. Levels whose factor is 1 are one with the next.
    covariates: covariate, role, increase, low, high, the most important first: by how much the MAE grows (0.1 is 10 %)
        when the network reads the covariate's values of another origin of the series (those of a known one from the
        horizon, too), or, if it is static, of another series. With several series each one's errors count in units of
        its usual MAE. Low and high: 95 % of a block bootstrap over origins.
    own_history: the same for the target's past as the network reads it; the floor keeps its own.
    attention: level, lag, steps, weight: what the token that ends at the origin looks at, in the mean over windows,
        heads and the level's own layers; a token holds `steps` steps, the newest `lag` steps before the origin.
        Weights sum to 1 in each level.
    origins: those used.  notes: what limits all this.
    """

    share: float
    parts: pd.DataFrame
    levels: pd.DataFrame
    covariates: pd.DataFrame
    own_history: Interval
    attention: pd.DataFrame
    origins: pd.Index
    notes: tuple[str, ...]


def explain(
    model: Any, df: pd.DataFrame, origins: Sequence[Any] | None = None, *, seed: int = 0, repeats: int = 5
) -> Explanation:
    """Explain the forecasts of a fitted `HourGlassForecaster` on `df`; the model stays as it is.

    Args:
        df: rows of fitted series, best such as the model was not fitted on.
        origins: times to forecast from; None takes up to 100, the last that have a horizon of values after them.
        seed: of the exchanges behind `covariates`.  repeats: how often each covariate is exchanged.

    Raises:
        NotFittedError, SettingsError: the model or an argument cannot be used. DataError: nor can the frame.

    Example:
        >>> from hourglass_ts.forecaster import HourGlassForecaster
        >>> df = pd.DataFrame({"t": range(90), "y": [1.0, 2.0, 4.0] * 30, "x": [0.0, 1.0, 0.0] * 30})
        >>> model = HourGlassForecaster(horizon=2, context=9, max_epochs=1, steps_per_epoch=5, progress=False)
        >>> found = explain(model.fit(df, time="t", target="y", past="x"), df)
        >>> list(found.parts), found.covariates["covariate"].tolist(), len(found.levels)
        (['lead', 'floor', 'network', 'forecast'], ['x'], 3)
    """
    trained = _trained(model)
    raise_problems(SettingsError, [*count_problems(repeats=repeats), *_seed_problems(seed)])
    with torch.no_grad():
        sample = draw_sample(model, trained, df, origins)
        moved = trained.share * sample.spread()
        effects = level_effects(trained.model.network, sample.batch, moved)
        by_covariate = importances(sample, repeats, seed)
        return Explanation(
            share=trained.share,
            parts=_parts(sample),
            levels=_levels_frame(trained, effects),
            covariates=by_covariate.covariates,
            own_history=by_covariate.own_history,
            attention=_attention_frame(trained, attention_weights(trained.model.network, sample.batch)),
            origins=sample.origins,
            notes=(*_notes(trained, effects), *sample.notes, *by_covariate.notes),
        )


def _trained(model: Any) -> TrainedHourGlass:
    if isinstance(model, PanelForecaster):
        model._check_fitted()
    trained = getattr(model, "trained_", None)
    if not isinstance(trained, TrainedHourGlass):
        name = model.__name__ if isinstance(model, type) else type(model).__name__
        hint = "Only its forecasts have a floor and a network to tell apart."
        raise_problem(SettingsError, Problem(f"model={name}", "a fitted HourGlassForecaster", hint))
    return trained


def _seed_problems(seed: Any) -> list[Problem]:
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and seed >= 0:
        return []
    return [Problem(f"seed={seed!r}", "an integer of 0 or more", "Pass for example seed=0.")]


def _parts(sample: Sample) -> pd.DataFrame:
    floor = sample.floor()
    scaled = (sample.last, floor, floor + sample.addition(sample.batch))
    start, middle, end = (sample.in_units(each) for each in scaled)
    sizes = {"floor": middle - start, "network": end - middle, "forecast": end - start}
    means = {name: np.abs(size).mean(axis=0) for name, size in sizes.items()}
    return pd.DataFrame({"lead": np.arange(1, floor.shape[1] + 1), **means})


def _levels_frame(trained: TrainedHourGlass, effects: np.ndarray) -> pd.DataFrame:
    factors = _factors(trained)
    total = effects.sum()
    return pd.DataFrame(
        {
            "level": np.arange(len(effects)),
            "factor": factors,
            "steps": factors * trained.model.network.config.patch,
            "share": effects / total if total > 0 else np.zeros(len(effects)),
        }
    )


def _attention_frame(trained: TrainedHourGlass, weights: Sequence[np.ndarray]) -> pd.DataFrame:
    config = trained.model.network.config
    parts = []
    for level, (factor, weight) in enumerate(zip(_factors(trained), weights, strict=True)):
        steps = factor * config.patch
        lag = np.arange(len(weight)) * steps
        frame = {"level": level, "lag": lag, "steps": np.minimum(steps, config.context - lag), "weight": weight[::-1]}
        parts.append(pd.DataFrame(frame)[lag < config.context])
    return pd.concat(parts, ignore_index=True)


def _factors(trained: TrainedHourGlass) -> np.ndarray:
    """How many tokens of the outermost level one of each level holds."""
    return np.array([level.factor for level in levels(trained.model.network)])


def _notes(trained: TrainedHourGlass, effects: np.ndarray) -> list[str]:
    notes = []
    if trained.share == 0:
        notes.append(
            "The network's share is 0: the forecast is the floor's, no level and no covariate moves it, and attention "
            "is that of a network that is not heard."
        )
    elif not effects.any():
        notes.append("The network adds the same at all these origins: no level moves the forecast.")
    if not trained.model.hparams.floor:
        notes.append("There is no floor: the network adds to the last value.")
    return notes
