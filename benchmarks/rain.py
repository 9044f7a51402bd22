"""Rain as a probability and as an amount: part of `weather.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from common import Report
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from story import OURS

from hourglass_ts.forecast.conformal import ConformalForecaster
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.metrics.comparison import block_bootstrap, optimal_block_length
from hourglass_ts.metrics.probabilistic import crps_quantiles, pit_quantiles

HORIZON, LAST_TRAINING = 7, pd.Timestamp("2014-12-31")
AMOUNTS = tuple(np.round(np.arange(0.025, 1, 0.05), 3).tolist())  # even levels, so that their loss is the CRPS
WET = 0.1  # mm, less than the gauge's first step of .25


@dataclass(frozen=True)
class Rain:
    """Wet days and amounts, (n_origins, HORIZON), and what each model says of both, by name."""

    amount: np.ndarray
    chance: dict[str, np.ndarray]
    crps: dict[str, np.ndarray]
    share: float

    @property
    def wet(self) -> np.ndarray:
        """1 where it rained."""
        return (self.amount > WET).astype(float)

    @classmethod
    def forecast(cls, df: pd.DataFrame, origins: pd.DatetimeIndex, seed: int, settings: dict[str, Any]) -> Rain:
        """Forecast every origin with models of the rows up to `LAST_TRAINING`."""
        frame = df.assign(wet=(df["precipitation"] > WET).astype(float))
        training = frame[frame["date"] <= LAST_TRAINING]
        place = np.searchsorted(df["date"].to_numpy(), origins.to_numpy())
        ahead = place[:, None] + np.arange(1, HORIZON + 1)
        amount = df["precipitation"].to_numpy()[ahead]
        covariates = ["precipitation", "temp_max", "temp_min", "wind"]
        settings = {"pipeline": "weather", "progress": False, "seed": seed, **settings}
        chance_model = HourGlassForecaster(HORIZON, quantiles=(), **settings)
        chance_model.fit(training, time="date", target="wet", past=covariates)
        chance = chance_model.forecast_from(frame, list(origins)).pivot(
            index="origin", columns="lead", values="forecast"
        )
        amounts = ConformalForecaster(HourGlassForecaster(HORIZON, quantiles=AMOUNTS, **settings), AMOUNTS)
        amounts.fit(training, time="date", target="precipitation", past=covariates[1:])
        rows = amounts.forecast_from(df, list(origins)).sort_values(["origin", "lead"])
        quantiles = rows[[f"q{level:g}" for level in AMOUNTS]].to_numpy().reshape(*amount.shape, -1)
        like = similar_days(df, ahead)
        wet_now = frame["wet"].to_numpy()[place][:, None].repeat(HORIZON, axis=1)
        below = pit_quantiles(np.full(amount.shape, WET), quantiles, AMOUNTS)
        chances = {
            OURS: chance.to_numpy().clip(0, 1),
            f"{OURS}, from its amounts": 1 - below,
            "climatology": harmonic_chance(frame, training, ahead),
            "persistence": wet_now,
            "logistic regression": logistic_chance(frame, training, place),
        }
        now = df["precipitation"].to_numpy()[place]
        laid = {
            OURS: quantiles,
            "climatology": np.moveaxis(np.quantile(like, AMOUNTS, axis=-1), 0, -1),
            "persistence": np.broadcast_to(now[:, None, None], quantiles.shape),
        }
        crps = {name: _crps(amount, own) for name, own in laid.items()}
        return cls(amount, chances, crps, chance_model.share_)


def _crps(actual: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """The score of every single forecast, in the shape of `actual`: all models by the same levels."""
    pairs = zip(actual.reshape(-1), quantiles.reshape(-1, quantiles.shape[-1]), strict=True)
    return np.array([crps_quantiles([value], own[None], levels=AMOUNTS) for value, own in pairs]).reshape(actual.shape)


def similar_days(df: pd.DataFrame, ahead: np.ndarray, reach: int = 15) -> np.ndarray:
    """The amounts of training days at most `reach` days of the year away: (n_origins, HORIZON, n_days)."""
    training = df[df["date"] <= LAST_TRAINING]
    own, wanted = (days.dt.dayofyear.to_numpy() for days in (training["date"], df["date"]))
    by_day = {}
    for day in range(1, 367):
        distance = np.abs(own - day)
        near = np.argsort(np.minimum(distance, 366 - distance), kind="stable")[: 3 * (2 * reach + 1)]
        by_day[day] = training["precipitation"].to_numpy()[near]
    return np.stack([[by_day[day] for day in row] for row in wanted[ahead]])


def harmonic_chance(frame: pd.DataFrame, training: pd.DataFrame, ahead: np.ndarray) -> np.ndarray:
    """The chance of a wet day by the day of the year: a logistic regression on three annual harmonics."""
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(_harmonics(training["date"]), training["wet"])
    return model.predict_proba(_harmonics(frame["date"]))[:, 1][ahead]


def logistic_chance(frame: pd.DataFrame, training: pd.DataFrame, place: np.ndarray) -> np.ndarray:
    """One logistic regression for each lead, on the season and the last three days."""
    lags = {
        f"{name} {k}": frame[name].shift(k) for name in ("wet", "precipitation", "temp_max", "wind") for k in range(3)
    }
    inputs = np.column_stack([pd.DataFrame(lags).to_numpy(), _harmonics(frame["date"])])
    found = []
    for lead in range(1, HORIZON + 1):
        target = frame["wet"].shift(-lead)
        rows = np.flatnonzero(~np.isnan(inputs).any(axis=1) & (np.arange(len(frame)) < len(training) - lead))
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs[rows], target.iloc[rows])
        found.append(model.predict_proba(inputs[place])[:, 1])
    return np.stack(found, axis=1)


def _harmonics(days: pd.Series, n: int = 3) -> np.ndarray:
    angle = 2 * np.pi * days.dt.dayofyear.to_numpy() / 365.2425
    return np.column_stack([wave(k * angle) for k in range(1, n + 1) for wave in (np.cos, np.sin)])


def score_rain(report: Report, rains: Sequence[Rain]) -> pd.DataFrame:
    """Brier score and CRPS, ours averaged over seeds, and block-bootstrap intervals of the difference from ours."""
    rows: dict[str, dict[str, float]] = {}
    losses = {
        "Brier": {name: np.mean([(r.chance[name] - r.wet) ** 2 for r in rains], axis=0) for name in rains[0].chance},
        "CRPS": {name: np.mean([r.crps[name] for r in rains], axis=0) for name in rains[0].crps},
    }
    for score, models in losses.items():
        for name, loss in models.items():
            report.add(f"{score.lower()}:{name}", round(float(loss.mean()), 4))
            row = rows.setdefault(name, {})
            row[score] = float(loss.mean())
            if name != OURS:
                difference = (models[OURS] - loss).mean(axis=1)
                block = max(HORIZON, math.ceil(optimal_block_length(difference)))
                worth = block_bootstrap(difference, block=block)
                row |= {f"{score}: ours less it, low": worth.low, f"{score}: high": worth.high}
    return pd.DataFrame(rows).T.rename_axis("model")


def rain_sentence(wet: pd.DataFrame) -> str:
    """Where rain is forecast better or worse than by climatology, and where that is not sure."""
    row, parts = wet.loc["climatology"], []
    for score, noun in (("Brier", "whether it rains"), ("CRPS", "how much")):
        low, high = row[f"{score}: ours less it, low"], row[f"{score}: high"]
        verdict = "better than climatology" if high < 0 else "worse than climatology" if low > 0 else "no surer than it"
        parts.append(f"{noun} is {verdict} ({score} {wet.loc[OURS, score]:.3f} against {row[score]:.3f})")
    return f"Rain, 1 to 7 days ahead: {'; '.join(parts)}."
