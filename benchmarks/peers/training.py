"""How every peer is trained: one plain loop on the windows of the protocol, and nothing of its own.

Adam, a rate that rises over the first 5 % of the budget and falls to 0 along a cosine over the whole of it, and is
halved after every third validation in a row without a better error; validation over the same windows for all; the
weights of the best one put back at the end. Training stops when the CPU seconds are spent, validation and set-up
included, or after `PATIENCE` validations in a row without a better one.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from long_horizon import Windows
from torch import Tensor, nn

VALIDATIONS = 40  # about so many in a budget, if they are cheap; at most a quarter of the time goes into them
PATIENCE, HALVED_AFTER = 12, 3
WARM_UP = 0.05
AT_ONCE = 256  # windows of one channel in one pass that needs no gradient


class Peer(nn.Module):
    """A network with what its authors settled: loss, learning rate, batch.

    together: it sees all channels of an origin at once; else a window is one channel's, and channels share weights.
    batch: windows per step.  clip: the longest gradient.
    """

    network: nn.Module
    learning_rate: float = 1e-3
    batch: int = 128
    together: bool = False
    clip: float | None = None

    def outputs(self, inputs: Tensor, channels: Tensor, origins: Tensor) -> Tensor:
        """The network's answer to contexts (n, context, k), k = 1 or all channels; (n, horizon, …).

        Every peer has its own.
        """
        raise NotImplementedError

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What is minimised; targets (n, horizon, k)."""
        return (outputs - targets).square().mean()

    def point(self, outputs: Tensor) -> Tensor:
        """The forecast (n, horizon, k)."""
        return outputs


@dataclass
class TrainedPeer:
    """A peer at its best weights, and how it came there."""

    peer: Peer
    windows: Windows
    facts: dict[str, Any] = field(default_factory=dict)

    def forecast(self, origins: np.ndarray) -> np.ndarray:
        """Forecasts (n, horizon, n_channels)."""
        peer, parts = self.peer.eval(), []
        with torch.inference_mode():
            for part in np.array_split(origins, -(-len(origins) * self.windows.n_channels // AT_ONCE)):
                if not len(part):
                    continue
                channels, repeated = _pairs(part, self.windows.n_channels)
                made = peer.point(peer.outputs(*_batch(peer, self.windows, channels, repeated, part)))
                parts.append(made if peer.together else made[..., 0].unflatten(0, (len(part), -1)).movedim(1, 2))
        return torch.cat(parts).numpy()

    def validation_error(self) -> float:
        """Mean squared error over the windows that all are judged by."""
        origins = self.windows.judges()
        return float(np.square(self.forecast(origins) - self.windows.targets(origins)).mean(dtype=np.float64))


def train(peer: Peer, windows: Windows, budget: float, seed: int, begun: float) -> TrainedPeer:
    """Train until validation or the budget says stop. begun: the CPU time at which the budget began."""
    trained, rng = TrainedPeer(peer, windows), np.random.default_rng(seed)
    optimiser = torch.optim.Adam(peer.parameters(), lr=peer.learning_rate)
    origins, curve, best, state = windows.origins("training"), [], math.inf, copy.deepcopy(peer.state_dict())
    steps, stale, halvings, judged_at, judging = 0, 0, 0, time.process_time(), 0.0
    while stale < PATIENCE and (spent := time.process_time() - begun) < budget:
        for group in optimiser.param_groups:
            group["lr"] = peer.learning_rate * rate_share(spent / budget) * 0.5**halvings
        _step(peer.train(), windows, origins, optimiser, rng)
        steps += 1
        now = time.process_time()
        if now - judged_at >= max(budget / VALIDATIONS, 3 * judging) or now - begun >= budget:
            error = trained.validation_error()
            judged_at, judging = time.process_time(), time.process_time() - now
            curve.append((round(judged_at - begun, 2), round(error, 6)))
            stale += 1
            if error < best:
                best, state, stale = error, copy.deepcopy(peer.state_dict()), 0
            elif stale % HALVED_AFTER == 0:
                halvings += 1
    peer.load_state_dict(state)
    trained.facts = {
        "parameters": sum(parameter.numel() for parameter in peer.parameters()),
        "curve": curve,
        "chosen": {
            "validation_mse": round(best, 6),
            "steps": steps,
            "stopped_by": "validation" if stale >= PATIENCE else "budget",
            "learning_rate": peer.learning_rate,
            "batch": peer.batch,
        },
    }
    return trained


def rate_share(share: float) -> float:
    """The learning rate's share at a share of the budget."""
    return min(1.0, (share + 1e-3) / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))


def _step(
    peer: Peer, windows: Windows, origins: np.ndarray, optimiser: torch.optim.Optimizer, rng: np.random.Generator
) -> None:
    drawn = rng.choice(origins, peer.batch)
    channels = rng.integers(windows.n_channels, size=peer.batch)
    batch = _batch(peer, windows, channels, drawn, drawn)
    targets = torch.from_numpy(windows.targets(drawn))
    if not peer.together:
        targets = targets[torch.arange(peer.batch), :, torch.from_numpy(channels)][..., None]
    optimiser.zero_grad()
    peer.loss(peer.outputs(*batch), targets).backward()
    if peer.clip is not None:
        nn.utils.clip_grad_norm_(peer.parameters(), peer.clip)
    optimiser.step()


def _pairs(origins: np.ndarray, n_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Every channel of every origin: channels and origins (n × n_channels,), an origin's channels in a row."""
    return np.tile(np.arange(n_channels), len(origins)), np.repeat(origins, n_channels)


def _batch(
    peer: Peer, windows: Windows, channels: np.ndarray, repeated: np.ndarray, origins: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """Contexts, channels and origins: one window per origin with all channels, or per pair of channel and origin."""
    if peer.together:
        return torch.from_numpy(windows.inputs(origins)), torch.empty(0, dtype=torch.long), torch.from_numpy(origins)
    rows = repeated[:, None] + np.arange(1 - windows.context, 1)
    inputs = torch.from_numpy(windows.values[rows, channels[:, None]])[..., None]
    return inputs, torch.from_numpy(channels), torch.from_numpy(repeated)
