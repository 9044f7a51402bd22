"""Tables and measures from the cells of the accuracy grid."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from common import Report, table

from hourglass_ts.metrics.comparison import Interval, block_bootstrap

OURS, REFERENCE = "hourglass", "patchtst"
TASK = ["data", "context", "horizon"]
MEASURED = ("mse", "mae", "seconds", "forecast_seconds", "parameters", "peak_mib", "share", "smape", "mase", "owa")
Cells = list[dict[str, Any]]


def page(cells: Cells) -> str:
    """Everything as Markdown."""
    if not cells:
        return "No cells yet.\n"
    frame = measured(cells)
    parts = [header(cells)]
    long = frame[frame["mse"].notna()]
    if len(long):
        parts += [ranks_text(long), *overviews(long), contests_text(cells), speed_text(cells), costs_text(long)]
    if frame["owa"].notna().any():
        parts.append(m4_text(frame[frame["owa"].notna()]))
    return "\n\n".join(part for part in parts if part) + "\n"


def add_measures(report: Report, cells: Cells) -> None:
    """Means over seeds, under the names of the contract."""
    if not cells:
        return
    frame = measured(cells)
    for (data, context, horizon, model), rows in frame.groupby([*TASK, "model"]):
        if rows["owa"].notna().all():
            for kind in ("smape", "mase", "owa"):
                report.add(f"{kind}:{data}:{model}", float(rows[kind].mean()))
            continue
        for kind in ("mse", "mae", "seconds"):
            report.add(f"{kind}:{data}:{context}:{horizon}:{model}", float(rows[kind].mean()))
    for model, rank in mean_ranks(frame[frame["mse"].notna()])[0].items():
        report.add(f"mean_rank:{model}", float(rank))


def measured(cells: Cells) -> pd.DataFrame:
    """One row per cell."""
    rows = [{name: cell.get(name) for name in (*TASK, "model", "seed", *MEASURED)} for cell in cells]
    frame = pd.DataFrame(rows)
    return frame.astype(dict.fromkeys(MEASURED, float))


def header(cells: Cells) -> str:
    """What was measured on what."""
    versions: dict[str, set[str]] = {}
    for cell in cells:
        for name, version in cell["versions"].items():
            versions.setdefault(name, set()).add(version)
    told = [f"{name} {' and '.join(sorted(found))}" for name, found in versions.items()]
    budgets = sorted({cell["budget"] for cell in cells if cell["budget"]})
    return "\n".join(
        [
            "# Accuracy",
            "",
            "Made by `python benchmarks/accuracy.py`, whose first lines say how. MSE and MAE of standardised values on",
            "the test part: means over seeds ± their standard deviation. Seconds are CPU seconds of one thread.",
            "",
            f"- cells: {len(cells)}; CPU seconds of training at most: {', '.join(f'{one:g}' for one in budgets)}",
            f"- machine: {'; '.join(sorted({cell['machine'] for cell in cells}))}",
            f"- commit: {', '.join(sorted({cell['commit'] for cell in cells}))}",
            f"- versions: {', '.join(told)}",
        ]
    )


# --- who is better on the whole ---------------------------------------------------------------------------------------


def mean_ranks(long: pd.DataFrame) -> tuple[pd.Series, list[tuple]]:
    """Mean ranks by MSE, best first, of the models that have all tasks that most models have; those tasks.

    A task counts when at least three quarters as many models have it as have the one with most.
    """
    if long.empty:
        return pd.Series(dtype=float), []
    wide = long.groupby([*TASK, "model"])["mse"].mean().unstack("model")
    n_models = wide.notna().sum(axis=1)
    wide = wide[4 * n_models >= 3 * n_models.max()].dropna(axis=1)
    return wide.rank(axis=1).mean().sort_values(kind="stable"), list(wide.index)


def ranks_text(long: pd.DataFrame) -> str:
    """Mean ranks, and over what."""
    ranks, tasks = mean_ranks(long)
    left_out = sorted(set(long["model"]) - set(ranks.index))
    lines = ["## Mean rank", "", f"By MSE, of {len(ranks)} models, over {len(tasks)} tasks: {_told(tasks)}."]
    if left_out:
        lines.append(f"Not ranked, as they do not have all of these yet: {', '.join(left_out)}.")
    rows = [[model, f"{rank:.2f}"] for model, rank in ranks.items()] if tasks else []
    return "\n".join([*lines, "", table(["model", "mean rank"], rows)])


def overviews(long: pd.DataFrame) -> list[str]:
    """Per data set and context: MSE and MAE of every model and horizon, and their averages; the best in bold."""
    parts = []
    for (data, context), rows in long.groupby(["data", "context"]):
        horizons = sorted(rows["horizon"].unique())
        for kind in ("mse", "mae"):
            values = rows.groupby(["model", "horizon"])[kind]
            means, spread = values.mean().unstack(), values.std().unstack()
            lowest, average = means.min(), means.mean(axis=1, skipna=False)
            order = means.rank().mean(axis=1).sort_values(kind="stable").index
            lines = [
                [
                    model,
                    *(_cell(means.loc[model, h], spread.loc[model, h], lowest[h]) for h in horizons),
                    *([_cell(average[model], math.nan, average.min())] if len(horizons) > 1 else []),
                ]
                for model in order
            ]
            head = ["model", *map(str, horizons), *(["average"] if len(horizons) > 1 else [])]
            parts.append(f"## {data}, context {context}: {kind.upper()}\n\n{table(head, lines)}")
    return parts


def _cell(mean: float, spread: float, best: float) -> str:
    if math.isnan(mean):
        return ""
    text = f"{mean:.4f}" if math.isnan(spread) else f"{mean:.4f} ± {spread:.4f}"
    return f"**{text}**" if mean == best else text


# --- ours against each ------------------------------------------------------------------------------------------------


def contests_text(cells: Cells) -> str:
    """Differences between ours and every other model, with intervals: who won where."""
    groups = group_errors(cells)
    tasks = sorted({key[:3] for key in groups if key[3] == OURS})
    others = sorted({key[3] for key in groups} - {OURS})
    rows, tally = [], {model: dict.fromkeys(("win", "loss", "tie", "no interval"), 0) for model in others}
    for task in tasks:
        for model in others:
            if (*task, model) not in groups:
                continue
            interval = difference(groups[(*task, OURS)], groups[(*task, model)])
            said = verdict(interval)
            tally[model][said] += 1
            ends = "" if math.isnan(interval.low) else f"{interval.low:+.4f} … {interval.high:+.4f}"
            rows.append([*map(str, task), model, f"{interval.estimate:+.4f}", ends, said])
    if not rows:
        return ""
    counts = [[model, *map(str, found.values())] for model, found in tally.items() if sum(found.values())]
    return "\n".join(
        [
            f"## {OURS} against each",
            "",
            f"MSE of {OURS} less that of the other on the same windows, seeds averaged, with 95 % intervals of a",
            "paired circular block bootstrap over groups of neighbouring origins. A block covers two horizons, at most",
            "a third of the test: at long horizons on short data an interval is too narrow. Win, loss: 0 is outside.",
            "",
            table(["model", "wins", "losses", "ties", "no interval"], counts),
            "",
            table(["data", "context", "horizon", "model", "difference", "95 %", OURS], rows),
        ]
    )


def group_errors(cells: Cells) -> dict[tuple, dict[str, Any]]:
    """Per data, context, horizon and model: squared errors of the groups averaged over seeds, and the block's length.

    Raises:
        ValueError: models of one task have other windows.
    """
    found: dict[tuple, list[dict[str, Any]]] = {}
    for cell in cells:
        if "errors" in cell:
            found.setdefault((*(cell[name] for name in TASK), cell["model"]), []).append(cell)
    shapes: dict[tuple, set[tuple]] = {}
    for key, ones in found.items():
        shapes.setdefault(key[:3], set()).update((one["n_origins"], len(one["errors"])) for one in ones)
    unequal = [task for task, shape in shapes.items() if len(shape) > 1]
    if unequal:
        raise ValueError(f"cells of {_told(unequal)} were scored on different windows")
    return {
        key: {
            "errors": np.mean([one["errors"] for one in ones], axis=0),
            "block": block_of(key[2], ones[0]["n_origins"], len(ones[0]["errors"])),
        }
        for key, ones in found.items()
    }


def block_of(horizon: int, n_origins: int, n_groups: int) -> int:
    """Groups that cover two horizons, at most a third of them all."""
    return max(1, min(math.ceil(2 * horizon * n_groups / n_origins), n_groups // 3))


def difference(own: dict[str, Any], other: dict[str, Any]) -> Interval:
    """Of our errors less the other's."""
    return block_bootstrap(own["errors"] - other["errors"], block=own["block"], n_boot=1999)


def verdict(interval: Interval) -> str:
    """Who has the smaller error, as far as the interval says."""
    if math.isnan(interval.low):
        return "no interval"
    return "win" if interval.high < 0 else "loss" if interval.low > 0 else "tie"


# --- time and memory --------------------------------------------------------------------------------------------------


def speed_text(cells: Cells) -> str:
    """CPU seconds until each model's validation error was as low as PatchTST's lowest, from the curves of training."""
    curves: dict[tuple, list[list]] = {}
    for cell in cells:
        if cell.get("curve"):
            curves.setdefault(tuple(cell[name] for name in (*TASK, "model")), []).append(cell["curve"])
    models = sorted({key[3] for key in curves} - {REFERENCE})
    rows = []
    for task in sorted({key[:3] for key in curves if key[3] == REFERENCE}):
        goal = float(np.mean([min(error for _, error in curve) for curve in curves[(*task, REFERENCE)]]))
        told = [_reached(curves.get((*task, model), []), goal) for model in (REFERENCE, *models)]
        rows.append([*map(str, task), f"{goal:.4f}", *told])
    if not rows:
        return ""
    head = ["data", "context", "horizon", "its error", REFERENCE, *models]
    text = "CPU seconds until the validation error was as low as PatchTST's lowest (mean over seeds; –: never)."
    return f"## Seconds to PatchTST's validation error\n\n{text}\n\n{table(head, rows)}"


def _reached(curves: list[list], goal: float) -> str:
    if not curves:
        return ""
    moments = [next((spent for spent, error in curve if error <= goal), math.inf) for curve in curves]
    return "–" if math.isinf(max(moments)) else f"{np.mean(moments):.0f}"


def costs_text(long: pd.DataFrame) -> str:
    """What every model took."""
    rows = []
    for (*task, model), own in long.groupby([*TASK, "model"]):
        mean = own[list(MEASURED)].mean()
        share = "" if math.isnan(mean["share"]) else f"{mean['share']:.2f}"
        costs = [f"{mean['seconds']:.1f}", f"{mean['forecast_seconds']:.1f}", f"{mean['parameters']:.0f}"]
        rows.append([*map(str, task), model, str(len(own)), *costs, f"{mean['peak_mib']:.0f}", share])
    head = ["data", "context", "horizon", "model", "seeds", "seconds", "forecast s", "parameters", "peak MiB", "share"]
    text = (
        "Fit, forecast of all test windows, parameters, the process's peak of memory, and the network's share of ours."
    )
    return f"## What it took\n\n{text}\n\n{table(head, rows)}"


def m4_text(rows: pd.DataFrame) -> str:
    """M4 Weekly."""
    lines = []
    for model, own in rows.groupby("model"):
        spread = own["owa"].std()
        owa = f"{own['owa'].mean():.3f}" + ("" if math.isnan(spread) else f" ± {spread:.3f}")
        share = "" if own["share"].isna().all() else f"{own['share'].mean():.2f}"
        errors = [f"{own[kind].mean():.3f}" for kind in ("smape", "mase")]
        lines.append([str(model), str(len(own)), *errors, owa, share, f"{own['seconds'].mean():.0f}"])
    lines.sort(key=lambda line: line[4])
    head = ["model", "seeds", "sMAPE", "MASE", "OWA", "share", "seconds"]
    return f"## M4 Weekly\n\n{table(head, lines)}"


def _told(tasks: Iterable[tuple]) -> str:
    """Tasks in words: data and context with their horizons."""
    found: dict[tuple, list[str]] = {}
    for data, context, horizon in tasks:
        found.setdefault((data, context), []).append(str(horizon))
    return "; ".join(f"{data} (context {context}) {', '.join(horizons)}" for (data, context), horizons in found.items())
