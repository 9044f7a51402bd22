"""pytorch-forecasting's own TFT and N-HiTS, in the project's environment, trained by the loop of all peers.

Windows are cut by `FastTimeSeriesDataSet`, which gives the batches of `TimeSeriesDataSet` to the bit, from the
standardised rows, scaled no further; covariates are what these data have: none, but for TFT the channel and the
relative time.

* TFT: quantile loss, whose median is the forecast, learning rate 1e-3, 64 windows per step, 4 heads, dropout 0.1, as
  published; width 16, pytorch-forecasting's default, since at the published 160 and a context of 512 one core makes a
  step in seconds and forecasts all test windows in hours. Even so the budget is soon spent.
* N-HiTS: the settings of `neural.py` but for pooling and interpolation, which pytorch-forecasting chooses; MAE.
"""

from __future__ import annotations

import logging
import time

import numpy as np
import pandas as pd
import torch
from long_horizon import Windows
from peers.training import Peer, TrainedPeer, train
from pytorch_forecasting import NHiTS, TemporalFusionTransformer
from pytorch_forecasting.data.encoders import TorchNormalizer
from pytorch_forecasting.metrics import MAE, QuantileLoss
from torch import Tensor

from hourglass_ts.windows.dataset import FastTimeSeriesDataSet

QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def fit(model: str, data: str, windows: Windows, budget: float, seed: int) -> TrainedPeer:
    """Train `tft` or `upstream-nhits`."""
    begun = time.process_time()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.manual_seed(seed)
    return train(MODELS[model](windows), windows, budget, seed, begun)


class UpstreamPeer(Peer):
    """A network of pytorch-forecasting with the data set that its batches come from."""

    def __init__(self, windows: Windows, *, relative_time: bool) -> None:
        super().__init__()
        self.dataset = window_dataset(windows, relative_time=relative_time)
        starts = self.dataset.index["index_start"].to_numpy()
        self.n_rows, self.context = len(windows.values), windows.context
        self.place = np.full(windows.values.size, -1)
        self.place[starts] = np.arange(len(starts))

    def outputs(self, inputs: Tensor, channels: Tensor, origins: Tensor) -> Tensor:
        """The network's answer to the data set's batch of the same windows."""
        picked = self.place[(channels * self.n_rows + origins - self.context + 1).numpy()]
        x, _ = self.dataset._collate_fn(self.dataset.__getitems__(picked.tolist()))
        return self.network(x)["prediction"]


class TFTPeer(UpstreamPeer):
    """The temporal fusion transformer."""

    def __init__(self, windows: Windows) -> None:
        super().__init__(windows, relative_time=True)
        self.batch, self.clip = 64, 0.1
        self.quantiles = QuantileLoss(list(QUANTILES))
        self.network = TemporalFusionTransformer.from_dataset(
            self.dataset,
            hidden_size=16,
            attention_head_size=4,
            dropout=0.1,
            hidden_continuous_size=8,
            loss=self.quantiles,
        )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean quantile loss."""
        return self.quantiles.loss(outputs, targets[..., 0]).mean()

    def point(self, outputs: Tensor) -> Tensor:
        """The median."""
        return outputs[..., [QUANTILES.index(0.5)]]


class NHiTSPeer(UpstreamPeer):
    """Its own N-HiTS."""

    def __init__(self, windows: Windows) -> None:
        super().__init__(windows, relative_time=False)
        self.batch = 256
        self.network = NHiTS.from_dataset(self.dataset, hidden_size=512, n_layers=2, dropout=0.5, loss=MAE())

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean absolute error."""
        return (outputs - targets).abs().mean()


def window_dataset(windows: Windows, *, relative_time: bool) -> FastTimeSeriesDataSet:
    """Every window of every channel, scaled no further; the channel is TFT's static category."""
    n_rows, n_channels = windows.values.shape
    frame = pd.DataFrame(
        {
            "row": np.tile(np.arange(n_rows), n_channels),
            "channel": np.repeat([f"{channel:03d}" for channel in range(n_channels)], n_rows),
            "value": windows.values.T.ravel().astype(np.float64),
        }
    )
    return FastTimeSeriesDataSet(
        frame,
        time_idx="row",
        target="value",
        group_ids=["channel"],
        max_encoder_length=windows.context,
        min_encoder_length=windows.context,
        max_prediction_length=windows.horizon,
        min_prediction_length=windows.horizon,
        static_categoricals=["channel"] if relative_time else [],
        time_varying_unknown_reals=["value"],
        target_normalizer=TorchNormalizer(method="identity"),
        add_relative_time_idx=relative_time,
    )


MODELS = {"tft": TFTPeer, "upstream-nhits": NHiTSPeer}
