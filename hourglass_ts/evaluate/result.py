"""What a backtest gives: forecasts and scores as tidy frames."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from hourglass_ts.errors import Problem, SettingsError, raise_problem
from hourglass_ts.evaluate.evidence import coverage_table, revision_table, skill_table
from hourglass_ts.evaluate.explain import Explanation
from hourglass_ts.evaluate.folds import Fold, FoldPlan
from hourglass_ts.evaluate.leaks.result import AuditResult
from hourglass_ts.evaluate.running import Failure
from hourglass_ts.evaluate.scores import common_rows, score_notes, score_rows
from hourglass_ts.evaluate.story import tell
from hourglass_ts.forecast.truth import Truth, is_quantile
from hourglass_ts.report.page import write_page
from hourglass_ts.report.story import Story


@dataclass(frozen=True)
class Run:
    """What was run: the models' names (the user's `n_own` first), folds, truth, settings, costs and failures.

    costs: model, fit_seconds, forecast_seconds, fits.
    """

    models: tuple[str, ...]
    n_own: int
    folds: tuple[Fold, ...]
    plan: FoldPlan
    truth: Truth
    season: int | None
    costs: pd.DataFrame
    failures: tuple[Failure, ...]
    settings: Mapping[str, str]

    @property
    def references(self) -> list[str]:
        """What the first model is compared with: the baselines, and the user's other models."""
        return [*self.models[self.n_own :], *self.models[1 : self.n_own]]


@dataclass(frozen=True)
class Backtest:
    """Forecasts of every model from every origin, what came true, and what follows from both.

    run: what was run.  rows: the scored rows, with numbers for series and times; `forecasts` has them by name.
    """

    run: Run
    rows: pd.DataFrame

    @cached_property
    def forecasts(self) -> pd.DataFrame:
        """One row per model, fold, series and time: origin, lead, actual, forecast, and quantiles where there are."""
        rows, panel = self.rows, self.run.truth.panel
        origins = pd.Index([fold.origin for fold in self.run.folds])
        columns: dict[Hashable, object] = {
            "model": rows["model"].to_numpy(),
            "fold": rows["fold"].to_numpy(),
            "origin": origins[rows["fold"].to_numpy()],
        }
        columns |= {label: panel.keys[label].array[rows["unit"].to_numpy()] for label in panel.keys.columns}
        columns[panel.roles.time] = self.run.truth.times[rows["time"].to_numpy()]
        labels = ["lead", "actual", "forecast", *[label for label in rows.columns if is_quantile(label)]]
        return pd.DataFrame(columns | {label: rows[label].to_numpy() for label in labels})

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Scores by model, on the forecast days that all models have: each series' own, then averaged.

        MAE, RMSE and bias in the target's unit; sMAPE in percent; MASE and RMSSE over the seasonal naive errors inside
        the rows before the first fold. `score_notes` says why one is NaN.
        """
        return score_rows(self.common, self.scales)

    def scores_by(self, *columns: str) -> pd.DataFrame:
        """Scores by model and by any of "series", "lead", "fold" and "origin".

        Raises:
            SettingsError: another column.

        Example: `result.scores_by("lead")`, `result.scores_by("series", "lead")`.
        """
        names = {"series": "unit", "lead": "lead", "fold": "fold", "origin": "fold"}
        if unknown := [column for column in columns if column not in names]:
            problem = Problem(f"scores by {unknown[0]!r}", f"any of {list(names)}", "Pass one of them.")
            raise_problem(SettingsError, problem)
        by = list(dict.fromkeys(names[column] for column in columns))
        table = score_rows(self.common, self.scales, by)
        if "fold" in by:
            origins = pd.Index([fold.origin for fold in self.run.folds])
            table.insert(table.columns.get_loc("fold") + 1, "origin", origins[table["fold"].to_numpy()])
        if "unit" in by:
            keys, unit = self.run.truth.panel.keys, table.pop("unit").to_numpy()
            for place, label in enumerate(keys.columns):
                table.insert(1 + place, label, keys[label].array[unit])
        return table

    @cached_property
    def score_notes(self) -> list[str]:
        """Why scores are NaN or averaged over fewer series, and which forecast days were left out."""
        notes = score_notes(self.common, self.scores, self.run.truth.names, self.scales)
        absent = [name for name in self.models if name not in set(self.common["model"])]
        notes += [f"{name} is not scored: it has too few forecasts that meet an actual value." for name in absent]
        if len(self.run.truth.panel.roles.target) > 1:
            notes.append("MAE, RMSE and bias average over targets in their own units; MASE and RMSSE have none.")
        days = ["fold", "unit", "time"]
        n_all, n_common = (len(rows[days].drop_duplicates()) for rows in (self.rows, self.common))
        if n_common < n_all:
            notes.append(
                f"{n_all - n_common:,} of {n_all:,} forecast days are not scored: a model has no forecast there."
            )
        notes += [
            f"{f.model} failed in {len(f.folds)} folds from {f.folds[0]} on: {f.error}" for f in self.run.failures
        ]
        return notes

    @cached_property
    def skill(self) -> pd.DataFrame:
        """How much smaller the first model's error is than each other's: reference, lead (NaN: all), skill, low, high.

        1 − its mean absolute scaled error over theirs, with the 95 % interval of a block bootstrap over folds.
        """
        return skill_table(self.common, self.scales, self.focus, self.overlap)

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """How often intervals held: model, lead (NaN: all), nominal, coverage, low and high (95 %, over folds), n."""
        return coverage_table(self.common, self.overlap)

    @cached_property
    def revisions(self) -> pd.DataFrame:
        """How far the forecast of one time moves from one origin to the next: model, lead (NaN: all), revision (mean
        absolute change, the target's unit), relative (to the mean absolute error). Empty where origins do not overlap.
        """
        return revision_table(self.common, self.scales)

    @cached_property
    def summary(self) -> tuple[str, ...]:
        """The report's first sentences: better than what and by how much, coverage, revisions."""
        story = self.story()
        return (story.headline, *story.remarks)

    def story(
        self,
        *,
        title: str | None = None,
        unit: str = "",
        explanation: Explanation | None = None,
        audit: AuditResult | None = None,
    ) -> Story:
        """All that the report shows, for the figures in `report.charts` and `report.diagnostics`; see `to_html`."""
        return tell(self, title=title, unit=unit, explanation=explanation, audit=audit)

    def to_html(
        self,
        path: str | Path,
        *,
        title: str | None = None,
        unit: str = "",
        explanation: Explanation | None = None,
        audit: AuditResult | None = None,
    ) -> Path:
        """Write the report about the first model: one page that needs no network.

        unit: the target's.  explanation: what `explain` gives.  audit: what `audit` gives.
        """
        return write_page(self.story(title=title, unit=unit, explanation=explanation, audit=audit), path)

    @property
    def focus(self) -> str:
        """The model that skill and report are about: the first that is scored."""
        scored = set(self.common["model"])
        return next((name for name in self.models if name in scored), self.models[0])

    @cached_property
    def places(self) -> np.ndarray:
        """Where every fold's origin lies on the time axis."""
        origins = pd.Index([fold.origin for fold in self.run.folds])
        return self.run.truth.times.searchsorted(origins, side="right") - 1

    @property
    def overlap(self) -> int:
        """How many neighbouring folds share a horizon, and so errors."""
        ends = np.searchsorted(self.places, self.places + self.run.plan.horizon, side="left")
        return int((ends - np.arange(len(self.places))).max())

    @property
    def notes(self) -> tuple[str, ...]:
        """What the checks of the data dropped, trimmed or laid in."""
        return self.run.truth.panel.notes

    @cached_property
    def scales(self) -> pd.DataFrame:
        """What MASE and RMSSE divide by, for every series: errors of the seasonal naive before the first fold."""
        return self.run.truth.scales(self.run.folds[0].fit_end, self.run.season)

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names, the user's own first."""
        return self.run.models

    @cached_property
    def common(self) -> pd.DataFrame:
        """The rows that are scored: of the forecast days that all models have."""
        return common_rows(self.rows)

    def __repr__(self) -> str:
        folds = self.run.folds
        span = f"{folds[0].origin} to {folds[-1].origin}" if folds else ""
        with pd.option_context("display.width", 120, "display.max_columns", 12):
            return f"Backtest of {len(folds)} folds, origins {span}\n{self.scores.to_string(index=False)}"
