"""What a checkpoint of a pytorch-forecasting model holds besides tensors, so that training can resume from it.

Since torch 2.6, `Trainer.fit(ckpt_path=...)` unpickles allow-listed classes alone. A checkpoint carries the data set's
encoders and scalers, the loss, and the pandas frames inside the encoders. None of these runs code when unpickled.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pytorch_forecasting import metrics
from pytorch_forecasting.data import encoders
from torchmetrics import Metric

from hourglass_ts.model.losses import StudentTDistributionLoss

ALSO = (
    "builtins.slice",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "pandas.DataFrame",
    "pandas.Series",
    "pandas.Index",
    "pandas.RangeIndex",
    "pandas.MultiIndex",
    "pandas.StringDtype",
    "pandas.arrays.ArrowStringArray",
    "pandas.arrays.StringArray",
    "pandas._libs.internals._unpickle_block",
    "pandas.core.indexes.base._new_Index",
    "pandas.core.internals.managers.BlockManager",
    "pandas.core.internals.managers.SingleBlockManager",
    "pyarrow.lib._restore_array",
    "pyarrow.lib.py_buffer",
    "pyarrow.lib.type_for_alias",
    "sklearn.preprocessing._data.MaxAbsScaler",
    "sklearn.preprocessing._data.MinMaxScaler",
    "sklearn.preprocessing._data.RobustScaler",
    "sklearn.preprocessing._data.StandardScaler",
    "torch.nn.modules.container.ModuleList",
    "torchmetrics.metric.jit_distributed_available",
    "torchmetrics.utilities.data.dim_zero_max",
    "torchmetrics.utilities.data.dim_zero_mean",
    "torchmetrics.utilities.data.dim_zero_sum",
)


def allow_checkpoint_classes() -> None:
    """Tell torch that these classes may be loaded from a checkpoint."""
    dtypes = [getattr(np.dtypes, name) for name in np.dtypes.__all__]
    own = [StudentTDistributionLoss, *_classes_of(metrics, Metric), *_classes_of(encoders, object)]
    torch.serialization.add_safe_globals([*own, *dtypes, *_existing()])


def _classes_of(module: Any, base: type) -> Iterator[type]:
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, base) and found.__module__.startswith("pytorch_forecasting"):
            yield found


def _existing() -> Iterator[Any]:
    """Names that this version of the other library has; another version pickles under other names."""
    for name in ALSO:
        path, _, last = name.rpartition(".")
        try:
            found = getattr(importlib.import_module(path), last, None)
        except ImportError:
            continue
        if found is not None:
            yield found
