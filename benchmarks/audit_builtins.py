"""The leak audit on pytorch-forecasting's built-in models, on `HourGlassModel`, and on data sets.

    python benchmarks/audit_builtins.py --json benchmarks/results/audit-builtins.json

Untrained networks (what they can read does not depend on the weights; those that are all zero become noise) on windows
of a made frame: three series, covariates known and unknown, real and categorical, windows of mixed lengths where a
model takes them. "read" counts future columns that a forecast depends on. docs/leak-audit.md says what it means.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import Report, arguments, table
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import EncoderNormalizer, GroupNormalizer, TorchNormalizer
from pytorch_forecasting.models import (
    DecoderMLP,
    DeepAR,
    NBeats,
    NBeatsKAN,
    NHiTS,
    RecurrentNetwork,
    TemporalFusionTransformer,
    TiDEModel,
    TimeXer,
    xLSTMTime,
)

from hourglass_ts.evaluate.leaks.datasets import audit_dataset
from hourglass_ts.evaluate.leaks.networks import audit_network
from hourglass_ts.evaluate.leaks.result import AuditResult
from hourglass_ts.model._model import HourGlassModel

N_STEPS, CUTOFF, CONTEXT, HORIZON = 80, 60, 12, 4
CHECKS = {
    "future read": "no future target or unknown column is read",
    "gradient": "no gradient by future targets or unknown reals",
    "encoder padding": "encoder padding is not read",
    "decoder padding": "decoder padding is not read",
    "neighbours": "a forecast does not depend on other windows' values",
    "alone, order": "a forecast is the same alone, and in any order",
    "training": "no statistics of the batch in training",
}
MIXED = {"min_encoder_length": 4, "min_prediction_length": 2}
LAGS = {"lags": {"y": [2]}}
TARGET_PAST = {"time_varying_unknown_reals": ["y"], "time_varying_unknown_categoricals": []}
TARGET_ALONE = TARGET_PAST | {
    "time_varying_known_reals": [],
    "time_varying_known_categoricals": [],
    "static_categoricals": [],
}


@dataclass(frozen=True)
class Case:
    """A model class, its sizes, the windows it takes, and how it forecasts."""

    model: Any
    sizes: dict[str, Any] = field(default_factory=dict)
    windows: dict[str, Any] = field(default_factory=dict)
    call: Callable[[Any, Any], Any] | None = None


def with_samples(model: Any, x: Any) -> Any:
    """What DeepAR's own `predict` calls."""
    return model(x, n_samples=20)


SMALL = {"hidden_size": 8}
TIMEXER = {"hidden_size": 16, "patch_length": 2, "n_heads": 2, "e_layers": 1, "d_ff": 16}
XLSTM = {"hidden_size": 8, "input_size": 1, "output_size": HORIZON}
CASES: dict[str, Case] = {
    "TemporalFusionTransformer": Case(TemporalFusionTransformer, SMALL, MIXED),
    "TemporalFusionTransformer, causal_attention=False": Case(
        TemporalFusionTransformer, SMALL | {"causal_attention": False}, MIXED
    ),
    "NBeats": Case(NBeats, {"widths": [8, 8]}, TARGET_ALONE),
    "NBeatsKAN": Case(NBeatsKAN, {"widths": [8, 8]}, TARGET_ALONE),
    "NHiTS": Case(NHiTS, SMALL),
    "DeepAR, predict(): model(x, n_samples=20)": Case(DeepAR, SMALL, TARGET_PAST | MIXED, with_samples),
    "DeepAR, model(x)": Case(DeepAR, SMALL, TARGET_PAST | MIXED),
    "DeepAR, predict(), target lag 2": Case(DeepAR, SMALL, TARGET_PAST | LAGS, with_samples),
    "RecurrentNetwork": Case(RecurrentNetwork, SMALL, TARGET_PAST | MIXED),
    "RecurrentNetwork, target lag 2": Case(RecurrentNetwork, SMALL, TARGET_PAST | LAGS),
    "RecurrentNetwork, target lag 4 (= horizon)": Case(RecurrentNetwork, SMALL, TARGET_PAST | {"lags": {"y": [4]}}),
    "DecoderMLP": Case(DecoderMLP, {}, MIXED),
    "TiDEModel": Case(TiDEModel, SMALL, TARGET_PAST),
    "TimeXer": Case(TimeXer, TIMEXER),
    "TimeXer, min_encoder_length=8": Case(TimeXer, TIMEXER, {"min_encoder_length": 8}),
    "xLSTMTime, slstm": Case(xLSTMTime, XLSTM, TARGET_ALONE),
    "xLSTMTime, mlstm": Case(xLSTMTime, XLSTM | {"xlstm_type": "mlstm"}, TARGET_ALONE),
    "HourGlassModel": Case(HourGlassModel, {"d_model": 16}, MIXED),
    "HourGlassModel, target lag 2": Case(HourGlassModel, {"d_model": 16}, LAGS),
}
QUICK = ("TemporalFusionTransformer", "NHiTS", "RecurrentNetwork, target lag 2", "xLSTMTime, slstm", "HourGlassModel")


def frame() -> pd.DataFrame:
    """Three walks with covariates; after the cutoff they lie higher, so that statistics show whether they saw it."""
    rng = np.random.default_rng(0)
    n, late = 3 * N_STEPS, np.tile(np.arange(N_STEPS) > CUTOFF, 3)
    return pd.DataFrame(
        {
            "series": np.repeat(["a", "b", "c"], N_STEPS),
            "step": np.tile(np.arange(N_STEPS), 3),
            "y": 50 + rng.normal(size=(3, N_STEPS)).cumsum(axis=1).ravel() + 20 * late,
            "price": rng.normal(size=n),
            "wind": rng.normal(size=n) + 2 * late,
            "day": [f"day {step % 7}" for step in np.tile(np.arange(N_STEPS), 3)],
            "sky": rng.choice(["sun", "rain"], n),
        }
    )


def dataset(data: pd.DataFrame, **settings: Any) -> TimeSeriesDataSet:
    common: dict[str, Any] = {
        "time_idx": "step",
        "target": "y",
        "group_ids": ["series"],
        "max_encoder_length": CONTEXT,
        "max_prediction_length": HORIZON,
        "time_varying_known_reals": ["price"],
        "time_varying_known_categoricals": ["day"],
        "time_varying_unknown_reals": ["y", "wind"],
        "time_varying_unknown_categoricals": ["sky"],
        "static_categoricals": ["series"],
        "target_normalizer": GroupNormalizer(groups=["series"]),
    }
    return TimeSeriesDataSet(data, **{**common, **settings})


def audit_case(case: Case, windows: int) -> AuditResult:
    torch.manual_seed(0)
    data = dataset(frame(), **case.windows)
    return audit_network(case.model.from_dataset(data, **case.sizes), data, windows=windows, call=case.call)


def row(name: str, result: AuditResult) -> list[str]:
    """One cell per check: passed, what was found, or "–" where there was nothing to try."""
    found = result.findings
    cells = []
    for check in CHECKS.values():
        tried = result.checks[result.checks["check"] == check]
        own = found[found["check"] == check]
        columns = ", ".join(f"`{column}`" for column in own["column"].dropna())
        if tried.empty or (tried["tried"] == 0).any():
            cells.append("–")
        elif len(own):
            cells.append(f"**{columns or 'leak'}**, {own['effect'].max():.2g}")
        else:
            cells.append("raises" if (tried["verdict"] == "open").any() else "passed")
    return [name, *cells]


def audit_models(names: list[str], windows: int, report: Report) -> None:
    rows = []
    for name in names:
        result = audit_case(CASES[name], windows)
        rows.append(row(name, result))
        report.add(f"audit_findings:{name}", len(result.findings))
        for check, size in result.findings.groupby("check")["effect"].max().items():
            report.add(f"audit_effect:{name}:{check}", float(size))
        print(f"\n{name}\n{result}", flush=True)
    print("\n" + table(["model", *CHECKS], rows))


def audit_datasets(report: Report) -> None:
    data, rows = frame(), []
    normalizers = {
        "auto": lambda: "auto",
        "GroupNormalizer": lambda: GroupNormalizer(groups=["series"]),
        "TorchNormalizer": TorchNormalizer,
        "EncoderNormalizer": EncoderNormalizer,
    }
    for label, normalizer in normalizers.items():
        for which, given in (("rows up to the cutoff", data[data["step"] <= CUTOFF]), ("the whole frame", data)):
            result = audit_dataset(dataset(given, target_normalizer=normalizer()), data, CUTOFF)
            columns = ", ".join(f"`{column}`" for column in dict.fromkeys(result.findings["column"].dropna()))
            late = "; windows end after the cutoff" if result.findings["first_time"].notna().any() else ""
            rows.append([f"{label}, made of {which}", "passed" if result.passed else f"**{columns}**{late}"])
            report.add(f"audit_findings:dataset:{label}:{which}", len(result.findings))
    print("\n" + table(["TimeSeriesDataSet", "statistics that know later rows"], rows))


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    report = Report()
    audit_models(list(QUICK if options.quick else CASES), 4 if options.quick else 8, report)
    audit_datasets(report)
    report.write(options.json)


if __name__ == "__main__":
    main()
