"""What a report shows: frames of forecasts and scores with fixed column names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problems

COLUMNS = {
    "forecasts": ("model", "fold", "origin", "series", "time", "lead", "actual", "forecast"),
    "history": ("series", "time", "actual"),
    "scores": ("model",),
    "skill": ("reference", "lead", "skill", "low", "high"),
    "by_lead": ("model", "lead", "MAE", "RMSE"),
    "coverage": ("model", "lead", "nominal", "coverage", "low", "high", "n"),
    "conditional": ("model", "group", "kind", "nominal", "coverage", "low", "high", "n"),
    "pit": ("model", "low", "high", "share"),
    "revisions": ("model", "lead", "revision", "relative"),
    "residuals": ("lag", "autocorrelation", "low", "high"),
    "worst": ("series", "fold", "origin", "MAE", "times"),
    "costs": ("model", "fit_seconds", "forecast_seconds", "fits"),
    "audit": ("check", "passed", "detail"),
}
EXPLANATIONS = {
    "levels": ("level", "factor", "share"),
    "covariates": ("covariate", "role", "increase", "low", "high"),
    "attention": ("lag", "weight"),
}


@dataclass(frozen=True)
class Story:
    """All that a report shows about `model`, beside the models it is compared with.

    Any frame may be empty (`pd.DataFrame()` will do). Shares are fractions (0.8 is 80 %), errors and revisions are in
    `unit`, costs in seconds; `low` and `high` bound an interval around the value beside them, in `residuals` the range
    that uncorrelated errors would keep to. In `skill` and `coverage` a NaN lead stands for all leads together.

    forecasts: one row per model, fold, series and lead, with quantile columns (`q0.1`, …), NaN for models without.
    series: "" where there is one. times: how often its model's mean error an error is. kind: series, weekday, month, …
    relative: a revision over the model's MAE. increase: of the error, as a share, when a covariate is shuffled.

    Raises:
        DataError: a frame with rows lacks a column.
    """

    title: str
    headline: str
    remarks: tuple[str, ...]
    unit: str
    model: str
    forecasts: pd.DataFrame
    history: pd.DataFrame
    scores: pd.DataFrame
    score_notes: tuple[str, ...]
    skill: pd.DataFrame
    by_lead: pd.DataFrame
    coverage: pd.DataFrame
    conditional: pd.DataFrame
    pit: pd.DataFrame
    revisions: pd.DataFrame
    residuals: pd.DataFrame
    worst: pd.DataFrame
    explanation: Mapping[str, pd.DataFrame]
    audit: pd.DataFrame | None
    notes: tuple[str, ...]
    costs: pd.DataFrame
    settings: Mapping[str, str]
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        frames = {name: (getattr(self, name), columns) for name, columns in COLUMNS.items()}
        frames |= {f"explanation[{name!r}]": (self.explanation.get(name), own) for name, own in EXPLANATIONS.items()}
        problems = [
            Problem(f"no such column in `{name}`", f"the columns {', '.join(columns)}", "Name it so.", column)
            for name, (frame, columns) in frames.items()
            if frame is not None and len(frame)
            for column in columns
            if column not in frame.columns
        ]
        problems += [
            Problem(f"an explanation called {name!r}", f"one of {', '.join(EXPLANATIONS)}", "Leave it out.")
            for name in self.explanation
            if name not in EXPLANATIONS
        ]
        raise_problems(DataError, problems)
        for name, columns in COLUMNS.items():
            if (frame := getattr(self, name)) is not None and not len(frame):
                object.__setattr__(self, name, frame.reindex(columns=[*columns]))  # charts may then ask for any of them

    @property
    def models(self) -> list[str]:
        """Every model by name: the one the story is about, then the others as the scores and forecasts list them."""
        named = dict.fromkeys(
            name for frame in (self.scores, self.forecasts, self.by_lead) for name in frame["model"].unique()
        )
        return [self.model, *(name for name in named if name != self.model)]

    def own(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of `frame` that are about `model`."""
        return frame[frame["model"] == self.model]
