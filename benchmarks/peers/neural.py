"""Networks of neuralforecast 3.3, as published for long horizons; this module runs in an environment of its own.

Its classes give the network alone: what its `BaseModel` does around it (windows, scaling, training) is replaced by
`training.py`, so that every model has the same windows. Nothing is scaled but what a class does inside `forward`
(PatchTST and iTransformer; N-HiTS and NLinear start from the last value): the data are standardised already.
Where the settings come from:

* DLinear, NLinear: moving average 25, and their learning rates per data set, from the authors' scripts
  (cure-lab/LTSF-Linear). Their 8 to 32 origins with all channels are 224 windows here.
* PatchTST: from the authors' scripts (yuqinie98/PatchTST): patches of 16, stride 8, 3 layers of width 128, 16 heads,
  256 in between, dropout 0.2; on ETTh1 width 16, 4 heads, 128 in between, dropout 0.3. Batch normalisation, and
  instances normalised by mean and standard deviation, as published.
* iTransformer: widths and layers per data set from the authors' scripts (thuml/iTransformer), 8 heads, dropout 0.1,
  32 origins per step, learning rate 1e-4.
* N-HiTS: three stacks with two layers of 512, pooling (16, 8, 1), interpolation (84, 12, 1), 256 windows, dropout 0.5,
  from the search space of neuralforecast's long-horizon experiment; MAE and a learning rate of 1e-3 from the paper.
* TiDE: sizes, dropout, learning rates and normalised instances per data set from the authors' scripts
  (google-research/tide); without their calendar covariates, which no model here has. Exchange, which they have not,
  as ETTh1.

Published learning rates are for many passes over the data on a GPU. On one core minutes are a fraction of one pass,
and two networks would be left hardly trained, so `RATES` is the least that they get, and PatchTST has 32 windows per
step in place of 128 origins with all channels. Chosen by validation error on Weather at horizon 96 after 40 to 60 CPU
seconds: PatchTST .38 in place of .46 (128 windows at the published 1e-4), TiDE .41 in place of .55.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from long_horizon import Windows
from neuralforecast import models
from neuralforecast.losses.pytorch import MSE
from peers.training import Peer, TrainedPeer, train
from torch import Tensor

LINEAR_RATES = {"etth1": 5e-3, "exchange": 5e-4}
PATCH_SMALL = {"n_heads": 4, "hidden_size": 16, "linear_hidden_size": 128, "dropout": 0.3, "fc_dropout": 0.3}
INVERTED = {
    "etth1": {"hidden_size": 256, "d_ff": 256, "e_layers": 2},
    "weather": {"hidden_size": 512, "d_ff": 512, "e_layers": 3},
}
INVERTED_SMALL = {"hidden_size": 128, "d_ff": 128, "e_layers": 2}
TIDE = {
    "ettm1": (1024, 1, 8, 128, 0.5, 8.4e-5, False),
    "weather": (512, 1, 8, 16, 0.0, 3.0e-5, False),
    "near": (512, 2, 32, 16, 0.5, 9.8e-4, True),
    "far": (256, 2, 8, 128, 0.3, 3.8e-5, True),
}
RATES = {"patchtst": 5e-4, "tide": 5e-4}


def fit(model: str, data: str, windows: Windows, budget: float, seed: int) -> TrainedPeer:
    """Train one of `MODELS`."""
    begun = time.process_time()
    torch.manual_seed(seed)
    peer = MODELS[model](data, windows)
    peer.learning_rate = max(RATES.get(model, 0.0), peer.learning_rate)
    torch.manual_seed(seed)
    return train(peer, windows, budget, seed, begun)


class NeuralPeer(Peer):
    """A network of neuralforecast, given the batch that its `forward` reads."""

    def __init__(self, network: Any, learning_rate: float, batch: int, *, scaled: bool = False) -> None:
        super().__init__()
        self.network = network
        self.learning_rate, self.batch, self.scaled = learning_rate, batch, scaled

    def outputs(self, inputs: Tensor, channels: Tensor, origins: Tensor) -> Tensor:
        """Contexts with nothing else known; `scaled` ones by their own mean and standard deviation, undone after."""
        mean, spread = inputs.mean(1, keepdim=True), inputs.std(1, correction=0, keepdim=True) + 1e-5
        given = (inputs - mean) / spread if self.scaled else inputs
        batch = {"insample_y": given, "insample_mask": torch.ones_like(given)}
        made = self.network(batch | dict.fromkeys(("futr_exog", "hist_exog", "stat_exog")))
        return made * spread + mean if self.scaled else made


class AbsolutePeer(NeuralPeer):
    """One that is trained on absolute errors."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean absolute error."""
        return (outputs - targets).abs().mean()


def dlinear(data: str, windows: Windows) -> Peer:
    """Two linear maps, of a moving average and of the rest."""
    return NeuralPeer(models.DLinear(**_sizes(windows), moving_avg_window=25), LINEAR_RATES.get(data, 1e-4), 224)


def nlinear(data: str, windows: Windows) -> Peer:
    """One linear map of the values less the last."""
    return NeuralPeer(models.NLinear(**_sizes(windows)), LINEAR_RATES.get(data, 1e-4), 224)


def patchtst(data: str, windows: Windows) -> Peer:
    """A transformer over patches of one channel."""
    own = PATCH_SMALL if data == "etth1" else {}
    network = models.PatchTST(**_sizes(windows), revin=True, revin_subtract_last=False, **own)
    return NeuralPeer(network, 1e-4, 32)


def itransformer(data: str, windows: Windows) -> Peer:
    """A transformer over channels."""
    own = INVERTED.get(data, INVERTED_SMALL)
    if data == "etth1" and windows.horizon > 192:
        own = own | {"hidden_size": 512, "d_ff": 512}
    network = models.iTransformer(**_sizes(windows), n_series=windows.n_channels, n_heads=8, dropout=0.1, **own)
    peer = NeuralPeer(network, 1e-4, 32)
    peer.together = True
    return peer


def nhits(data: str, windows: Windows) -> Peer:
    """Stacks at several rates."""
    network = models.NHITS(
        **_sizes(windows),
        n_pool_kernel_size=[16, 8, 1],
        n_freq_downsample=[84, 12, 1],
        dropout_prob_theta=0.5,
    )
    return AbsolutePeer(network, 1e-3, 256)


def tide(data: str, windows: Windows) -> Peer:
    """Dense encoder and decoder."""
    name = data if data in TIDE else ("near" if windows.horizon <= 192 else "far")
    width, n_layers, out, last, dropout, rate, scaled = TIDE[name]
    network = models.TiDE(
        **_sizes(windows),
        hidden_size=width,
        num_encoder_layers=n_layers,
        num_decoder_layers=n_layers,
        decoder_output_dim=out,
        temporal_decoder_dim=last,
        dropout=dropout,
        layernorm=True,
    )
    return NeuralPeer(network, rate, 512, scaled=scaled)


def _sizes(windows: Windows) -> dict[str, Any]:
    return {"h": windows.horizon, "input_size": windows.context, "loss": MSE()}


MODELS = {
    "dlinear": dlinear,
    "nlinear": nlinear,
    "patchtst": patchtst,
    "itransformer": itransformer,
    "nhits": nhits,
    "tide": tide,
}
