"""Causal HourGlass-transformer forecasts on a linear floor: layers, a pytorch-forecasting model, a forecaster.

Public names load on first use, so that importing the package imports neither torch nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hourglass_ts.forecaster import HourGlassForecaster
    from hourglass_ts.frames.registry import list_datasets, load_dataset
    from hourglass_ts.layers.hourglass import HourGlass
    from hourglass_ts.layers.shift import ShiftRight
    from hourglass_ts.layers.shortening import AttentionBasedShortening, AvgPoolShortening, LinearPoolingShortening
    from hourglass_ts.layers.upsampling import AttentionBasedUpSampling, LinearUpSampling, NaiveUpSampling
    from hourglass_ts.model._model import HourGlassModel
    from hourglass_ts.model._model_pkg import HourGlassModel_pkg
    from hourglass_ts.windows.dataset import FastTimeSeriesDataSet

    __version__: str

__all__ = [
    "AttentionBasedShortening",
    "AttentionBasedUpSampling",
    "AvgPoolShortening",
    "FastTimeSeriesDataSet",
    "HourGlass",
    "HourGlassForecaster",
    "HourGlassModel",
    "HourGlassModel_pkg",
    "LinearPoolingShortening",
    "LinearUpSampling",
    "NaiveUpSampling",
    "ShiftRight",
    "__version__",
    "list_datasets",
    "load_dataset",
]

_MODULE_OF = {
    "AttentionBasedShortening": "hourglass_ts.layers.shortening",
    "AttentionBasedUpSampling": "hourglass_ts.layers.upsampling",
    "AvgPoolShortening": "hourglass_ts.layers.shortening",
    "FastTimeSeriesDataSet": "hourglass_ts.windows.dataset",
    "HourGlass": "hourglass_ts.layers.hourglass",
    "HourGlassForecaster": "hourglass_ts.forecaster",
    "HourGlassModel": "hourglass_ts.model._model",
    "HourGlassModel_pkg": "hourglass_ts.model._model_pkg",
    "LinearPoolingShortening": "hourglass_ts.layers.shortening",
    "LinearUpSampling": "hourglass_ts.layers.upsampling",
    "NaiveUpSampling": "hourglass_ts.layers.upsampling",
    "ShiftRight": "hourglass_ts.layers.shift",
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
