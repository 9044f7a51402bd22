"""What can be forecast of stocks: volatility yes, intervals yes, direction only if this page says so.

    python benchmarks/stocks.py --json benchmarks/results/stocks.json --page stocks.html

AAPL, GOOG, IBM and MSFT from the shipped file, daily. For volatility and returns every stock is forecast in the last
30 % of its rows by models that were fitted on rows up to the end of its first 70 %, and not again; where stocks end
that stretch on different days, a model of all four is fitted for each such day on the rows up to it. The context of 66
sessions is the ridge's longest mean. These windows had been looked at while the pipeline was built.

Volatility, one session ahead: QLIKE, the mean of log h + r² / h, h the forecast variance of the next close-to-close
return r in percent. EWMA (.94), GARCH(1,1) with t innovations (`arch`), and a ridge for the logarithm of the
Garman-Klass variance on its means over 1, 5, 22 and 66 sessions, |r|, min(r, 0) and the logarithm of EWMA (HAR with
leverage). The ridge and HourGlass forecast a range-based variance, and are scaled to squared returns on their training
rows. (EWMA scaled so has 1.837 in place of 1.844, GARCH 1.836 in place of 1.822.)
Returns, 1 to 5 sessions ahead: the log returns that price forecasts imply, against zero and the mean training return.
Intervals, 1 to 5 sessions ahead: adjusted close, `ConformalForecaster`, fitted once before the last 750 sessions, all
of which are origins. The ends around a coverage are Wilson's with the variance of a block bootstrap; seeds are pooled.
Volatility is forecast with all defaults, prices with a smaller network that is trained shorter, to save time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from common import Report, arguments
from rich.progress import track
from stock_market import CONTEXT, HORIZON, ROLES, Market
from stock_returns import Direction, price_paths, return_section, score_direction, score_returns
from stock_volatility import (
    EWMA,
    HAR,
    contest_volatility,
    losses,
    our_variance,
    references,
    score_volatility,
    volatility_sections,
    volatility_sentence,
)
from story import CENTRAL, NETWORK, OURS, add_coverage, check_page, held_table, made_section, markdown, page_table

from hourglass_ts.evaluate.backtest import backtest
from hourglass_ts.evaluate.evidence import share_held
from hourglass_ts.evaluate.result import Backtest
from hourglass_ts.forecast.baselines import EWMAWalk
from hourglass_ts.forecast.conformal import ConformalForecaster
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.report.page import write_page
from hourglass_ts.report.parts import Section
from hourglass_ts.report.story import Story

FOLDS, LEVELS, WALK = 750, (0.025, 0.1, 0.5, 0.9, 0.975), "EWMA walk"


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--page", type=Path, help="where to write the report page")
    given = options.parse_args()
    check_page(given.page)
    seeds = range(1 if given.quick else given.seeds)
    settings = {"max_epochs": 1, "steps_per_epoch": 5} if given.quick else {}
    report, market = Report(), Market.load()

    ours = [our_variance(market, seed, settings) for seed in track(seeds, "Volatility", transient=True)]
    variances = references(market) | {f"{OURS} {seed}": own for seed, own in zip(seeds, ours, strict=True)}
    every = losses(market, variances)
    volatile = score_volatility(report, every, variances)
    print(f"QLIKE, one session ahead; smaller is better\n{markdown(volatile)}", flush=True)
    contests = contest_volatility(report, every)
    print(f"\nOurs less each other's, every stock the same weight\n{markdown(contests)}", flush=True)

    settings = NETWORK | settings
    implied = [price_paths(market, seed, settings) for seed in track(seeds, "Returns", transient=True)]
    returns = score_returns(report, market, implied)
    direction = score_direction(report, market, implied)
    print(f"\nMAE of log returns over that of zero\n{markdown(returns)}\n\n{direction.sentence}", flush=True)

    results = [intervals(market, seed, settings, given.quick) for seed in track(seeds, "Intervals", transient=True)]
    held, scores = score_coverage(report, results), score_prices(report, results)
    print(f"\nIntervals of the adjusted close\n{markdown(held)}\n\n{markdown(scores)}", flush=True)
    report.write(given.json)
    if given.page:
        newest = {name: variances[name] for name in (EWMA, HAR)} | {f"{OURS}, first seed": ours[0]}
        story = tell(results[0], direction, volatility_sentence(volatile, contests), price_sentence(scores))
        first = [
            *volatility_sections(market, newest, volatile, contests, story),
            return_section(returns, direction),
            *price_sections(held, scores),
            made_section(len(seeds)),
        ]
        print(f"Page: {write_page(story, given.page, first)}")


def intervals(market: Market, seed: int, settings: dict[str, Any], quick: bool) -> Backtest:
    """Calibrated forecasts of the adjusted close from the last origins, a random walk with EWMA's width beside them."""
    model = HourGlassForecaster(
        horizon=HORIZON,
        context=CONTEXT,
        pipeline="stocks",
        quantiles=LEVELS,
        seed=seed,
        **settings,
    )
    walk = EWMAWalk(HORIZON, quantiles=LEVELS, transform="log")
    return backtest(
        {OURS: ConformalForecaster(model, quantiles=LEVELS), WALK: walk},
        market.df,
        **ROLES,
        target="adjusted_close",
        freq="XNYS",
        folds=60 if quick else FOLDS,
        stride=1,
        progress=False,
    )


def score_coverage(report: Report, results: list[Backtest]) -> pd.DataFrame:
    """How often intervals held, all leads and seeds together, and the seeds' range."""
    found, seeds = {}, {}
    for model in (OURS, WALK):
        for nominal, low, high in CENTRAL:
            hits = [_hits(result.common[result.common["model"] == model], low, high) for result in results]
            label, each = f"{model}, {nominal:.0%}", [own["inside"].mean() for own in hits]
            found[label] = share_held(pd.concat(hits), HORIZON)
            seeds[label] = {"lowest seed": min(each), "highest seed": max(each)}
            if model == OURS:
                add_coverage(report, nominal, found[label])
    return held_table(found).join(pd.DataFrame(seeds).T)


def _hits(rows: pd.DataFrame, low: str, high: str) -> pd.DataFrame:
    inside = (rows[low] <= rows["actual"]) & (rows["actual"] <= rows[high])
    return rows[["fold"]].assign(inside=inside.astype(float))


def score_prices(report: Report, results: list[Backtest]) -> pd.DataFrame:
    """Weighted quantile loss and MASE of all models, averaged over seeds."""
    every = pd.concat([result.scores.astype({"model": str}) for result in results])
    frame = every.groupby("model")[["WQL", "MASE"]].mean()
    for model in (OURS, WALK):
        report.add(f"wql:{model}", round(float(frame.loc[model, "WQL"]), 5))
        report.add(f"price_mase:{model}", round(float(frame.loc[model, "MASE"]), 4))
    return frame.assign(**{"WQL, per mille": 1000 * frame.pop("WQL")}).sort_values("MASE").rename_axis("model")


# --- the page --------------------------------------------------------------------------------------------------------


def price_sentence(scores: pd.DataFrame) -> str:
    """Whose quantiles of prices are better, ours or the walk's."""
    ours, walk = (scores.loc[model, "WQL, per mille"] for model in (OURS, WALK))
    verdict = "better than" if ours < walk else "no better than"
    return f"Quantiles of prices, {verdict} those of a walk of EWMA's width: loss {ours:.2f} against {walk:.2f} ‰."


def tell(result: Backtest, direction: Direction, volatility: str, quantiles: str) -> Story:
    """The story of the price forecasts, under what can and what cannot be forecast."""
    story = result.story(title="Four stocks: what can be forecast", unit="$")
    prices = f"Prices, below the first sections, first seed: {story.headline}"
    return replace(story, headline=direction.sentence, remarks=(volatility, quantiles, prices, *story.remarks))


def price_sections(held: pd.DataFrame, scores: pd.DataFrame) -> list[Section]:
    """Intervals and scores of prices, all seeds."""
    text = "How often intervals of the adjusted close held, 1 to 5 sessions ahead, all seeds together."
    rest = (
        "Beside a random walk whose width is EWMA's. A price that is no random walk would show as a MASE below naive's."
    )
    return [
        Section("held", "Intervals of prices", text, table=page_table(held)),
        Section("prices", "Prices", rest, table=page_table(scores)),
    ]


if __name__ == "__main__":
    main()
