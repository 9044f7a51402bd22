"""The data of the long-horizon protocol: rows in the file's order, split as published, scaled by training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from long_horizon import Windows

from hourglass_ts.frames.registry import dataset_info, load_dataset

MONTHS = {"etth": 30 * 24, "ettm": 30 * 96}  # rows of a month of 30 days


@dataclass(frozen=True)
class LongData:
    """Standardised channels (n_rows, n_channels), and where validation and test begin and the test ends."""

    values: torch.Tensor
    validation: int
    test: int
    end: int

    @classmethod
    def load(cls, name: str) -> LongData:
        """Read a data set; series of a long frame become channels, defects in the file stay, as in published figures.

        ETT is split 12/4/4 months, others 70/10/20 %.
        """
        info, df = dataset_info(name), load_dataset(name)
        wide = df.pivot(index=info.time, columns=info.series) if info.series else df.drop(columns=info.time)
        values = wide.to_numpy(np.float64)
        month = MONTHS.get(name[:4])
        if month:
            validation, test, end = 12 * month, 16 * month, 20 * month
        else:
            end = len(values)
            validation, test = int(end * 0.7), end - int(end * 0.2)
        training = values[:validation]
        scaled = (values - training.mean(0)) / training.std(0)
        return cls(torch.tensor(scaled, dtype=torch.float32), validation, test, end)

    def windows(self, context: int, horizon: int) -> Windows:
        """The windows of the protocol."""
        rows = self.values[: self.end].numpy()
        return Windows(rows, self.validation, self.test, self.end, context, horizon)


def season(name: str) -> int:
    """Steps of a day; of daily data (Exchange) those of a week of business days, which its rows are taken for."""
    return {"h": 24, "15min": 96, "10min": 144, "D": 5}[dataset_info(name).freq]


def times(name: str, n_rows: int) -> pd.DatetimeIndex:
    """A regular time for every row, at the data set's frequency: the protocol goes by the order of rows."""
    return pd.date_range("2000-01-03", periods=n_rows, freq=dataset_info(name).freq)
