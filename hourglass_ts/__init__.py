"""Causal HourGlass-transformer forecasts on a linear floor: layers, a pytorch-forecasting model, a forecaster.

Public names load on first use, so that importing the package imports neither torch nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hourglass_ts.evaluate.backtest import backtest
    from hourglass_ts.evaluate.explain import explain
    from hourglass_ts.evaluate.leakage import audit, audit_function
    from hourglass_ts.evaluate.leaks.datasets import audit_dataset
    from hourglass_ts.evaluate.leaks.encoders import audit_encoder
    from hourglass_ts.evaluate.leaks.networks import audit_network
    from hourglass_ts.evaluate.leaks.result import AuditResult
    from hourglass_ts.evaluate.result import Backtest
    from hourglass_ts.forecast.baselines import Drift, EWMAWalk, Naive, RidgeFloor, SeasonalNaive
    from hourglass_ts.forecast.climatology import Climatology
    from hourglass_ts.forecast.conformal import ConformalForecaster
    from hourglass_ts.forecast.ensemble import OriginEnsemble
    from hourglass_ts.forecaster import HourGlassForecaster
    from hourglass_ts.frames.registry import download_dataset, list_datasets, load_dataset
    from hourglass_ts.frames.stocks import StockPipeline
    from hourglass_ts.frames.weather import WeatherPipeline
    from hourglass_ts.layers.hourglass import HourGlass
    from hourglass_ts.layers.shift import ShiftRight
    from hourglass_ts.layers.shortening import AttentionBasedShortening, AvgPoolShortening, LinearPoolingShortening
    from hourglass_ts.layers.upsampling import AttentionBasedUpSampling, LinearUpSampling, NaiveUpSampling
    from hourglass_ts.model._model import HourGlassModel
    from hourglass_ts.model._model_pkg import HourGlassModel_pkg
    from hourglass_ts.model.losses import StudentTDistributionLoss
    from hourglass_ts.windows.dataset import FastTimeSeriesDataSet

    __version__: str

__all__ = [
    "AttentionBasedShortening",
    "AttentionBasedUpSampling",
    "AuditResult",
    "AvgPoolShortening",
    "Backtest",
    "Climatology",
    "ConformalForecaster",
    "Drift",
    "EWMAWalk",
    "FastTimeSeriesDataSet",
    "HourGlass",
    "HourGlassForecaster",
    "HourGlassModel",
    "HourGlassModel_pkg",
    "LinearPoolingShortening",
    "LinearUpSampling",
    "Naive",
    "NaiveUpSampling",
    "OriginEnsemble",
    "RidgeFloor",
    "SeasonalNaive",
    "ShiftRight",
    "StockPipeline",
    "StudentTDistributionLoss",
    "WeatherPipeline",
    "__version__",
    "audit",
    "audit_dataset",
    "audit_encoder",
    "audit_function",
    "audit_network",
    "backtest",
    "download_dataset",
    "explain",
    "list_datasets",
    "load_dataset",
]

_MODULE_OF = {
    "AttentionBasedShortening": "hourglass_ts.layers.shortening",
    "AttentionBasedUpSampling": "hourglass_ts.layers.upsampling",
    "AuditResult": "hourglass_ts.evaluate.leaks.result",
    "AvgPoolShortening": "hourglass_ts.layers.shortening",
    "Backtest": "hourglass_ts.evaluate.result",
    "Climatology": "hourglass_ts.forecast.climatology",
    "ConformalForecaster": "hourglass_ts.forecast.conformal",
    "Drift": "hourglass_ts.forecast.baselines",
    "EWMAWalk": "hourglass_ts.forecast.baselines",
    "FastTimeSeriesDataSet": "hourglass_ts.windows.dataset",
    "HourGlass": "hourglass_ts.layers.hourglass",
    "HourGlassForecaster": "hourglass_ts.forecaster",
    "HourGlassModel": "hourglass_ts.model._model",
    "HourGlassModel_pkg": "hourglass_ts.model._model_pkg",
    "LinearPoolingShortening": "hourglass_ts.layers.shortening",
    "LinearUpSampling": "hourglass_ts.layers.upsampling",
    "Naive": "hourglass_ts.forecast.baselines",
    "NaiveUpSampling": "hourglass_ts.layers.upsampling",
    "OriginEnsemble": "hourglass_ts.forecast.ensemble",
    "RidgeFloor": "hourglass_ts.forecast.baselines",
    "SeasonalNaive": "hourglass_ts.forecast.baselines",
    "ShiftRight": "hourglass_ts.layers.shift",
    "StockPipeline": "hourglass_ts.frames.stocks",
    "StudentTDistributionLoss": "hourglass_ts.model.losses",
    "WeatherPipeline": "hourglass_ts.frames.weather",
    "audit": "hourglass_ts.evaluate.leakage",
    "audit_dataset": "hourglass_ts.evaluate.leaks.datasets",
    "audit_encoder": "hourglass_ts.evaluate.leaks.encoders",
    "audit_function": "hourglass_ts.evaluate.leakage",
    "audit_network": "hourglass_ts.evaluate.leaks.networks",
    "backtest": "hourglass_ts.evaluate.backtest",
    "download_dataset": "hourglass_ts.frames.registry",
    "explain": "hourglass_ts.evaluate.explain",
    "list_datasets": "hourglass_ts.frames.registry",
    "load_dataset": "hourglass_ts.frames.registry",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use and keep it."""
    if name == "__version__":
        from importlib.metadata import version  # slow to import, and rarely asked for

        value: Any = version("hourglass_ts")
    elif name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
