"""Seattle's weather, 1 to 7 days ahead, against persistence, climatology, last year and a ridge; Jena's, hours ahead.

    python benchmarks/weather.py --json benchmarks/results/weather.json --page weather.html

Seattle, shipped: four variables, fitted once on rows up to 2014 (HourGlass keeps the last year of these to calibrate
on), and every day of 2015 that has a week after it as an origin; 3 seeds. Climatology is the mean and three annual
harmonics by least squares on the training years; "climatology of medians" the same by quantile regression, which suits
absolute errors; for rain there is also a forecast of 0. One ridge goes through the same pipeline, one takes the columns
as they are. Skill is 1 − MAE over the reference's, its interval a block bootstrap over origins, in blocks of a horizon
or longer; 28 leads are not corrected for their number.
Rain is also forecast as the probability of a wet day (Brier score) and as an amount with a distribution (CRPS, of all
models by the same even quantile levels), against a harmonic climatology, yesterday, and a logistic regression on both.
Intervals: `ConformalForecaster`, central ones of the three variables that are continuous; rain is 0 on every other day,
so that the lower end of an interval is never missed, and its upper quantiles are counted instead. The ends around a
coverage are Wilson's with the variance of a block bootstrap.
Jena (of the registry, 10-minute rows made hourly by the pipeline), if it is there: 1 to 24 hours ahead, the last 60
days, one seed; one year has no annual cycle to learn, so there is no climatology. The network is smaller and trained
shorter than by default, to keep this within half an hour on two cores.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Report, arguments
from rain import HORIZON, LAST_TRAINING, WET, Rain, rain_sentence, score_rain
from rich.progress import track
from sklearn.linear_model import QuantileRegressor
from story import (
    CENTRAL,
    NETWORK,
    OURS,
    Watched,
    add_coverage,
    check_page,
    held_table,
    made_section,
    markdown,
    page_table,
)

from hourglass_ts.errors import DataError
from hourglass_ts.evaluate.backtest import NAIVE, RIDGE, SEASONAL_NAIVE, backtest
from hourglass_ts.evaluate.evidence import share_held
from hourglass_ts.evaluate.result import Backtest
from hourglass_ts.forecast.baselines import RidgeFloor
from hourglass_ts.forecast.climatology import Climatology
from hourglass_ts.forecast.conformal import ConformalForecaster
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.harmonics import CYCLES, wall_seconds, waves
from hourglass_ts.frames.registry import dataset_path, load_dataset
from hourglass_ts.frames.weather import WeatherPipeline
from hourglass_ts.metrics.comparison import Interval, optimal_block_length, skill
from hourglass_ts.report.page import write_page
from hourglass_ts.report.parts import Section, picture
from hourglass_ts.report.story import Story
from hourglass_ts.report.style import FOCUS, MUTED, QUIET, TINTS, Look, blank, drawing, panels

VARIABLES = {"temp_max": "°C", "temp_min": "°C", "wind": "m/s", "precipitation": "mm"}
CONTINUOUS = ("temp_max", "temp_min", "wind")
INTERVALS = (0.025, 0.1, 0.5, 0.9, 0.975)
CLIMATOLOGY, MEDIANS, ZERO, PLAIN_RIDGE = "climatology", "climatology of medians", "always 0", "ridge, as it is"
NAMES = {NAIVE: "persistence", SEASONAL_NAIVE: "last year", RIDGE: "ridge, same pipeline"}
REFERENCES = (CLIMATOLOGY, MEDIANS, *NAMES.values(), PLAIN_RIDGE, ZERO)
SMALL_SHARE = 0.05
JENA = ("T (degC)", "p (mbar)", "rh (%)", "wv (m/s)")
JENA_DAYS, JENA_HORIZON = 60, 24


class ByDay:
    """What forecasts days by their date alone: `_learn` from the training rows, then `_values` (n_days,) of any."""

    horizon = HORIZON

    def fit(self, df: pd.DataFrame, *, time: Any, target: Any, **roles: Any) -> ByDay:
        """Fit on a frame of days."""
        self.time, self.last = time, df[time].max()
        self._learn(df[time], df[target])
        return self

    def forecast(self, df: pd.DataFrame | None = None) -> pd.DataFrame:
        """Forecast the days after the frame's last one."""
        last = self.last if df is None else df[self.time].max()
        days = pd.Series(pd.date_range(last, periods=HORIZON + 1)[1:])
        return pd.DataFrame({self.time: days, "forecast": self._values(days)})

    def _learn(self, days: pd.Series, values: pd.Series) -> None:
        """There is nothing to learn."""


class Medians(ByDay):
    """The median and three annual harmonics, by quantile regression."""

    def _learn(self, days: pd.Series, values: pd.Series) -> None:
        self.model = QuantileRegressor(quantile=0.5, alpha=0.0).fit(self._inputs(days), values)

    def _values(self, days: pd.Series) -> np.ndarray:
        return self.model.predict(self._inputs(days))

    def _inputs(self, days: pd.Series) -> np.ndarray:
        return waves(wall_seconds(pd.Index(days)), [CYCLES["year"]])[:, 1:]


class Zero(ByDay):
    """No rain, ever."""

    def _values(self, days: pd.Series) -> np.ndarray:
        return np.zeros(len(days))


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--page", type=Path, help="where to write the report page")
    options.add_argument("--no-jena", action="store_true", help="leave Jena out")
    given = options.parse_args()
    check_page(given.page)
    report, df = Report(), load_dataset("seattle-weather").drop(columns="weather")
    settings = NETWORK | ({"max_epochs": 1, "steps_per_epoch": 5} if given.quick else {})
    seeds = range(1 if given.quick else given.seeds)
    origins = df["date"][(df["date"] >= LAST_TRAINING) & (df["date"] <= df["date"].max() - pd.Timedelta(days=HORIZON))]
    origins = pd.DatetimeIndex(origins)[:: 4 if given.quick else 1]

    results = {
        variable: [seattle(df, variable, origins, seed, settings) for seed in seeds]
        for variable in track(VARIABLES, "Seattle", transient=True)
    }
    shares = np.reshape(Watched.shares, (len(VARIABLES), len(seeds))).mean(axis=1)
    errors = score_errors(report, results, dict(zip(VARIABLES, shares, strict=True)))
    print(f"Seattle: MAE in each variable's unit, mean over leads and seeds\n{markdown(errors)}", flush=True)
    leads = score_leads(report, results)
    print(f"\nSkill by lead over each reference, with 95 % intervals\n{markdown(leads)}", flush=True)
    held = score_coverage(report, results)
    print(f"\nHow often intervals held\n{markdown(held)}", flush=True)
    rains = [Rain.forecast(df, origins, seed, settings) for seed in track(seeds, "Rain", transient=True)]
    wet = score_rain(report, rains)
    print(f"\nRain, mean over leads and seeds: smaller is better\n{markdown(wet)}", flush=True)

    jena = None if given.no_jena else score_jena(report, settings, given.quick)
    if jena is not None:
        print(f"\nJena: MAE of 1 to {JENA_HORIZON} hours ahead\n{markdown(jena)}", flush=True)
    report.write(given.json)
    if given.page:
        story = tell(results["temp_max"][0], errors, leads, wet)
        first = [*page_sections(story, errors, leads, held, rains, wet, jena), made_section(len(seeds))]
        print(f"Page: {write_page(story, given.page, first)}")


# --- Seattle ---------------------------------------------------------------------------------------------------------


def seattle(
    df: pd.DataFrame, variable: str, origins: pd.DatetimeIndex, seed: int, settings: dict[str, Any]
) -> Backtest:
    """One variable from all origins, the other ones as its past covariates."""
    model = Watched(horizon=HORIZON, pipeline="weather", quantiles=INTERVALS, seed=seed, **settings)
    models = {
        OURS: ConformalForecaster(model, quantiles=INTERVALS),
        CLIMATOLOGY: Climatology(HORIZON, cycles=["year"]),
        MEDIANS: Medians(),
        PLAIN_RIDGE: RidgeFloor(HORIZON),
    }
    if variable == "precipitation":
        models[ZERO] = Zero()
    others = [name for name in VARIABLES if name != variable]
    roles = {"time": "date", "target": variable, "past": others}
    return backtest(models, df, **roles, freq="D", folds=origins, stride=1, season=365, progress=False)


def losses(result: Backtest) -> pd.DataFrame:
    """Absolute errors: rows are (fold, lead), columns are models."""
    rows = result.common
    error = (rows["forecast"] - rows["actual"]).abs().rename("error")
    frame = rows[["model", "fold", "lead"]].assign(error=error).astype({"model": str})
    return frame.pivot(index=["fold", "lead"], columns="model", values="error").rename(columns=NAMES)


def seed_losses(results: Sequence[Backtest]) -> pd.DataFrame:
    """Absolute errors, ours averaged over seeds."""
    every = [losses(result) for result in results]
    return every[0].assign(**{OURS: sum(own[OURS] for own in every) / len(every)})


def score_errors(report: Report, results: dict[str, list[Backtest]], shares: dict[str, float]) -> pd.DataFrame:
    """MAE by variable and model, the seeds' range, and the network's share."""
    rows = {}
    for variable, runs in results.items():
        mean = seed_losses(runs).mean()
        own = [losses(run)[OURS].mean() for run in runs]
        for model, value in mean.items():
            report.add(f"mae:{variable}:{model}", round(float(value), 4))
        report.add(f"share:{variable}", round(float(shares[variable]), 3))
        seeds = {"lowest seed": min(own), "highest seed": max(own), "network's share": shares[variable]}
        rows[f"{variable}, {VARIABLES[variable]}"] = {**mean, **seeds}
    frame = pd.DataFrame(rows).T.rename_axis("variable")
    first = [OURS, "lowest seed", "highest seed", "network's share"]
    return frame[[*first, *(label for label in frame.columns if label not in first)]]


def score_leads(report: Report, results: dict[str, list[Backtest]]) -> pd.DataFrame:
    """Skill over each reference by variable and lead, with its interval over origins."""
    rows: dict[str, dict[str, float]] = {}
    ratios, worse = [], dict.fromkeys(REFERENCES, 0)
    for variable, runs in results.items():
        for lead, own in seed_losses(runs).groupby("lead"):
            row = rows[f"{variable}, {lead}"] = {}
            for reference in (name for name in REFERENCES if name in own):
                worth = lead_skill(own[OURS].to_numpy(), own[reference].to_numpy())
                row |= {
                    f"over {reference}": worth.estimate,
                    f"{reference}, low": worth.low,
                    f"{reference}, high": worth.high,
                }
                ratios.append((reference, variable, lead, own[OURS].mean() / own[reference].mean()))
                worse[reference] += worth.high < 0
    table = pd.DataFrame(ratios, columns=["reference", "variable", "lead", "ratio"])
    add_ratios(report, table, "")
    add_ratios(report, table[table["variable"] != "precipitation"], "_without_rain")
    for reference, count in worse.items():
        report.add(f"leads_significantly_above_{_measure(reference)}", int(count))
    return pd.DataFrame(rows).T.rename_axis("variable, lead")


def lead_skill(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """Skill at one lead; neighbouring origins overlap."""
    return skill(ours, theirs, block=max(HORIZON, math.ceil(optimal_block_length(ours - theirs))))


def add_ratios(report: Report, table: pd.DataFrame, ending: str) -> None:
    """The mean over variables of our MAE over each reference's, for each lead and for all."""
    for by in ([], ["lead"]):
        for key, ratio in table.groupby(["reference", *by])["ratio"].mean().items():
            reference, *lead = key if isinstance(key, tuple) else (key,)
            name = f"mae_over_{_measure(reference)}{ending}"
            report.add(":".join([name, *map(str, lead)]), round(float(ratio), 4))


def _measure(reference: str) -> str:
    return "_".join(re.findall(r"\w+", reference))


def score_coverage(report: Report, results: dict[str, list[Backtest]]) -> pd.DataFrame:
    """Central intervals of continuous variables, pooled and each, and rain's upper quantiles; all seeds together."""
    hits = {}
    for variable, runs in results.items():
        for nominal, low, high in CENTRAL:
            parts = []
            for run in runs:
                own = run.common[run.common["model"] == OURS]
                upper = own["actual"] <= own[high]
                inside = upper & (own["actual"] >= own[low]) if variable in CONTINUOUS else upper
                parts.append(own[["fold"]].assign(inside=inside.astype(float)))
            hits[variable, nominal] = pd.concat(parts)
    rows = {}
    for nominal, _, _ in CENTRAL:
        pooled = share_held(pd.concat([hits[variable, nominal] for variable in CONTINUOUS]), HORIZON)
        add_coverage(report, nominal, pooled)
        rows[f"all three, {nominal:.0%}"] = pooled
        rows |= {f"{variable}, {nominal:.0%}": share_held(hits[variable, nominal], HORIZON) for variable in CONTINUOUS}
    for nominal, upper in ((0.8, 0.9), (0.95, 0.975)):
        found = share_held(hits["precipitation", nominal], HORIZON)
        rows[f"precipitation, below its {upper:g} quantile"] = found
        report.add(f"rain_below_q{upper:g}", round(found.estimate, 4))
    return held_table(rows)


# --- Jena ------------------------------------------------------------------------------------------------------------


def score_jena(report: Report, settings: dict[str, Any], quick: bool) -> pd.DataFrame | None:
    """MAE of four variables hours ahead, one seed; None where the file is not on this machine."""
    try:
        dataset_path("weather")
    except DataError:
        print("\nJena is left out: the data set 'weather' is not on this machine (hourglass-ts data get weather).")
        return None
    df = load_dataset("weather")
    rows = {}
    for variable in track(JENA, "Jena", transient=True):
        others = [name for name in JENA if name != variable]
        model = HourGlassForecaster(
            JENA_HORIZON,
            pipeline=WeatherPipeline(resample="h", latitude=50.93, longitude=11.59),
            quantiles=(),
            **settings,
        )
        result = backtest(
            {OURS: model},
            df[["date", *JENA, "wd (deg)"]],
            time="date",
            target=variable,
            past=others,
            freq="h",
            folds=JENA_DAYS * (1 if quick else 4),
            stride=24 if quick else 6,
            season=24,
            progress=False,
        )
        mean = losses(result).mean()
        rows[variable] = dict(mean)
        for name, value in mean.items():
            report.add(f"mae:jena:{variable}:{name}", round(float(value), 4))
    return pd.DataFrame(rows).T.rename(columns={"last year": "yesterday"}).rename_axis("variable")


# --- the page --------------------------------------------------------------------------------------------------------


def tell(result: Backtest, errors: pd.DataFrame, leads: pd.DataFrame, wet: pd.DataFrame) -> Story:
    """The story of the highest temperature, under what holds for all four variables."""
    story = result.story(title="Seattle's weather, 1 to 7 days ahead", unit="°C")
    ahead, behind = [], []
    for name in (name for name in REFERENCES if name in errors):
        gain = (100 * (1 - errors[OURS] / errors[name])).dropna()
        gains = ", ".join(f"{label.partition(',')[0]} {value:+.0f} %" for label, value in gain.items())
        (ahead if (gain > 0).all() else behind).append(f"{name} ({gains})")
    worse = [
        f"{label.replace(', ', ', day ')} against {name}"
        for label in leads.index
        for name in REFERENCES
        if f"{name}, high" in leads and leads.loc[label, f"{name}, high"] < 0
    ]
    headline = f"Smaller mean absolute errors than {'; '.join(ahead)}." if ahead else "No reference is always beaten."
    share = errors["network's share"]
    scored = ": what is scored is the pipeline's ridge" if share.max() < SMALL_SHARE else ""
    remarks = (
        f"Not smaller in every variable than {'; '.join(behind)}." if behind else "No reference has a smaller one.",
        f"Significantly worse: {'; '.join(worse)}." if worse else "At no lead is any reference significantly better.",
        f"The network's share is {share.min():.2f} to {share.max():.2f}{scored}.",
        rain_sentence(wet),
        f"Below the first sections, the highest temperature alone, first seed: {story.headline}",
    )
    return replace(story, headline=headline, remarks=(*remarks, *story.remarks))


def page_sections(
    story: Story,
    errors: pd.DataFrame,
    leads: pd.DataFrame,
    held: pd.DataFrame,
    rains: Sequence[Rain],
    wet: pd.DataFrame,
    jena: pd.DataFrame | None,
) -> list[Section]:
    """All four variables, intervals, rain, and Jena; what follows on the page is the highest temperature alone."""
    drawn = picture(
        story,
        partial(skill_chart, leads=leads),
        "weather-skill",
        label="Skill of each variable over climatology and persistence by lead",
        caption="Share by which the error is smaller, with its interval: blue over climatology, grey over persistence.",
        data=page_table(leads),
    )
    reliable = picture(
        story,
        partial(reliability_chart, rain=rains[0]),
        "reliability",
        label="How often it rained, for each forecast probability",
        caption="On the diagonal a probability keeps its word. Bars: how often each was said.",
    )
    share = np.mean([rain.share for rain in rains])
    rain_text = (
        f"A wet day has more than {WET} mm. The network's share of the probability is {share:.2f}. Intervals are of "
        "the difference from HourGlass; below 0, HourGlass is better."
    )
    found = [
        Section(
            "variables", "Four variables", "Mean absolute error over leads of 1 to 7 days.", (), page_table(errors)
        ),
        Section("skill-by-variable", "Skill by lead", pictures=drawn),
        Section("held", "Intervals", "How often calibrated intervals held in 2015, all leads.", table=page_table(held)),
        Section("rain", "Rain, as probability and amount", rain_text, reliable, page_table(wet)),
    ]
    if jena is not None:
        text = f"Jena, hourly, 1 to {JENA_HORIZON} hours ahead, the last {JENA_DAYS} days: mean absolute error."
        found.append(Section("jena", "Jena", text, table=page_table(jena)))
    return found


@drawing()
def skill_chart(story: Story, *, look: Look, leads: pd.DataFrame) -> Any:
    """One panel per variable."""
    figure, axes = panels(replace(look, columns=min(look.columns, 2)), len(VARIABLES), 2.2, sharey=True)
    for variable, axis in zip(VARIABLES, axes, strict=True):
        own = leads[[str(label).startswith(f"{variable},") for label in leads.index]]
        steps = np.arange(1, len(own) + 1)
        for k, (name, colour) in enumerate((("persistence", MUTED), ("climatology", FOCUS))):
            place = steps + 0.16 * (k - 0.5)
            axis.vlines(
                place, 100 * own[f"{name}, low"], 100 * own[f"{name}, high"], color=colour, linewidth=2.5, alpha=0.5
            )
            axis.plot(place, 100 * own[f"over {name}"], "o", color=colour, markersize=4, label=f"over {name}")
        axis.axhline(0, color=QUIET, linewidth=1.0)
        axis.set_title(f"{variable}, skill in % by days ahead")
        axis.set_xticks(steps)
    axes[0].legend(loc="upper right")
    return figure


@drawing()
def reliability_chart(story: Story, *, look: Look, rain: Rain) -> Any:
    """Observed frequency over forecast probability, and how often each probability was said."""
    figure, (axis,) = blank(look, 3.2)
    edges = np.linspace(0, 1, 11)
    said = rain.chance[OURS].reshape(-1)
    bin_of = np.clip(np.digitize(said, edges) - 1, 0, 9)
    counts = np.bincount(bin_of, minlength=10)
    kept = counts >= 20
    centre, frequency = (
        np.bincount(bin_of, weights=w, minlength=10) / np.maximum(counts, 1) for w in (said, rain.wet.reshape(-1))
    )
    axis.bar(edges[:-1] + 0.05, counts / counts.sum(), width=0.09, color=TINTS[0], label="share of forecasts")
    axis.plot([0, 1], [0, 1], color=QUIET, linewidth=1.0)
    axis.plot(centre[kept], frequency[kept], "o-", color=FOCUS, label="it rained")
    axis.set_xlabel("forecast probability of a wet day", loc="left")
    axis.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    main()
