"""The network: patches of a window → causal HourGlass → heads that read the state at the origin → a residual."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hourglass_ts.errors import Problem, SettingsError, raise_problems
from hourglass_ts.layers.hourglass import HourGlass
from hourglass_ts.network.scale import SCALES, WindowScale
from hourglass_ts.windows.batch import WindowBatch


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that shapes the network, in plain values.

    context, horizon: steps.  patch: steps in a token.  n_past, n_future, n_static: widths of the covariates.
    n_series: series with an embedding of their own, when `series_dim` > 0.
    n_outputs: parameters per step for each target, the location first.
    normalise: what a window's values are measured in, one of `hourglass_ts.network.scale.SCALES`.
    level_features: also read that centre and scale, for outputs that do not stand on a floor. Without them
        the network is blind to level and scale, and need not extrapolate where a series has grown.
    """

    context: int
    horizon: int
    n_outputs: tuple[int, ...] = (1,)
    patch: int = 8
    d_model: int = 64
    n_heads: int = 4
    d_ff: int = 128
    dropout: float = 0.0
    shortening_factors: tuple[int, ...] = (2, 2)
    shortening: str = "attention"
    upsampling: str = "attention"
    layers_per_level: int = 1
    n_past: int = 0
    n_future: int = 0
    n_static: int = 0
    n_series: int = 0
    series_dim: int = 0
    positions: str = "rotary"
    level_features: bool = False
    normalise: str = "last"

    def __post_init__(self) -> None:
        sizes = ("context", "horizon", "patch", "d_model", "n_heads", "d_ff", "layers_per_level")
        problems = [
            Problem(f"{name}={getattr(self, name)!r}", "an integer of 1 or more", f"Pass another {name}.")
            for name in sizes
            if not is_count(getattr(self, name))
        ]
        if not is_count(self.patch) or not is_count(self.context) or self.patch > self.context:
            problems.append(
                Problem(
                    f"patch={self.patch!r}", f"at most the context of {self.context!r} steps", "Pass a shorter patch."
                )
            )
        raise_problems(SettingsError, problems + normalise_problems(self.normalise))

    @property
    def total_factor(self) -> int:
        """K, the product of the shortening factors."""
        return math.prod(self.shortening_factors)

    @property
    def n_tokens(self) -> int:
        """Tokens in a window: enough for the context, and 1 more than a multiple of the total factor.

        The last token then ends a group at every level, so the state at the origin is fresh everywhere.
        """
        needed = math.ceil(self.context / self.patch)
        return math.ceil((needed - 1) / self.total_factor) * self.total_factor + 1


def default_patch(context: int) -> int:
    """Steps per token: a dozen tokens or more of a short context, 16 steps in each token of a long one."""
    return min(16, max(1, round(context / 14)))


def normalise_problems(normalise: object) -> list[Problem]:
    """The problem, if any, of an unknown way to measure windows."""
    if isinstance(normalise, str) and normalise in SCALES:
        return []
    return [Problem(f"normalise={normalise!r}", f"one of {tuple(SCALES)}", "Pass one of them.")]


def is_count(value: object) -> bool:
    """Whether `value` is an integer of 1 or more (a bool is not)."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class HourGlassNetwork(nn.Module):
    """Reads windows, and gives what is to be added to a forecast: (B, H, n_outputs[target]), zero before training.

    `forward(batch, target)` measures everything in the window's own spread, so the output is in units of it: multiply
    by `WindowScale.spread`. Only values up to the origin, known covariates and statics are read.

    Example:
        >>> network = HourGlassNetwork(NetworkConfig(context=8, horizon=3, patch=2, shortening_factors=(2,)))
        >>> network(example_batch(network.config, batch_size=5)).shape
        torch.Size([5, 3, 1])
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        d = config.d_model
        n_static = config.n_static + config.series_dim + 2 * config.level_features
        self.series_embedding = nn.Embedding(config.n_series + 1, config.series_dim) if config.series_dim else None
        self.target_embedding = nn.Embedding(len(config.n_outputs), d)
        self.token = nn.Linear(config.patch * (3 + config.n_past), d)
        self.static = nn.Linear(n_static, d) if n_static else None
        self.encoder = HourGlass(
            config.n_heads,
            d,
            config.dropout,
            config.d_ff,
            list(config.shortening_factors),
            shortening=config.shortening,
            upsampling=config.upsampling,
            layers_per_level=config.layers_per_level,
            positions=config.positions,
        )
        self.norm = nn.LayerNorm(d)
        self.heads = nn.ModuleList([_Head(config, n) for n in config.n_outputs])

    def forward(self, batch: WindowBatch, target: int = 0) -> Tensor:
        """What to add to the forecast of `target`, in units of each window's spread: (B, H, n_outputs[target])."""
        scale = WindowScale.of(batch, self.config.normalise)
        tokens, pads = self._tokens(batch, scale)
        context = self.target_embedding.weight[target].expand(len(tokens), 1, -1)
        if self.static is not None:
            context = context + self.static(self._static(batch, scale))
        encoded = self.encoder((tokens + context).transpose(0, 1), key_padding_mask=pads)
        state = self.norm(encoded[-1] + context[:, -1])
        return self.heads[target](state, batch.future_covariates)

    def _tokens(self, batch: WindowBatch, scale: WindowScale) -> tuple[Tensor, Tensor]:
        config = self.config
        values = torch.where(batch.present, scale.apply(batch.past), 0.0)
        flags = [batch.present.to(values.dtype), batch.observed.to(values.dtype)]
        covariates = torch.where(batch.present[..., None], batch.past_covariates, 0.0)
        channels = torch.cat([torch.stack([values, *flags], dim=-1), covariates], dim=-1)
        lead = config.n_tokens * config.patch - config.context
        channels = nn.functional.pad(channels, (0, 0, lead, 0))
        present = nn.functional.pad(batch.present, (lead, 0))
        tokens = channels.reshape(len(channels), config.n_tokens, -1)
        pads = ~present.reshape(len(present), config.n_tokens, config.patch).any(-1)
        return self.token(tokens), pads

    def _static(self, batch: WindowBatch, scale: WindowScale) -> Tensor:
        """What all steps of a token share: (B, n_tokens, n), or (B, 1, n) where all tokens share it."""
        parts = [batch.static[:, None]]
        if self.config.level_features:
            parts.append(self._levels(scale))
        if self.series_embedding is not None:
            n = self.config.n_series
            known = (batch.series >= 0) & (batch.series < n)
            parts.append(self.series_embedding(batch.series.where(known, n))[:, None])
        n_tokens = max(part.shape[1] for part in parts)
        return torch.cat([part.expand(-1, n_tokens, -1) for part in parts], dim=-1)

    def _levels(self, scale: WindowScale) -> Tensor:
        """Centre and scale at the last step of every token: (B, n_tokens, 2)."""
        config, dtype = self.config, scale.scale.dtype
        levels = torch.stack([scale.centre.to(dtype).arcsinh(), scale.scale.log()], dim=-1)
        levels = levels.expand(-1, config.context, -1).flip(1)[:, :: config.patch].flip(1)
        return nn.functional.pad(levels, (0, 0, config.n_tokens - levels.shape[1], 0))


class _Head(nn.Module):
    """State at the origin (B, d) and future covariates (B, H, n_future) → (B, H, n_out), zero at the start."""

    def __init__(self, config: NetworkConfig, n_out: int) -> None:
        super().__init__()
        self.shape = (config.horizon, n_out)
        self.direct = nn.Linear(config.d_model, config.horizon * n_out)
        nn.init.zeros_(self.direct.weight)
        nn.init.zeros_(self.direct.bias)
        self.per_step = _StepHead(config, n_out) if config.n_future else None

    def forward(self, state: Tensor, future: Tensor) -> Tensor:
        out = self.direct(state).unflatten(-1, self.shape)
        return out if self.per_step is None else out + self.per_step(state, future)


class _StepHead(nn.Module):
    """What the known covariates of a step change, given the state."""

    def __init__(self, config: NetworkConfig, n_out: int) -> None:
        super().__init__()
        width = config.d_model
        self.from_state = nn.Linear(width, width)
        self.from_future = nn.Linear(config.n_future, width)
        self.step = nn.Parameter(torch.randn(config.horizon, width) * 0.02)
        self.out = nn.Linear(width, n_out)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, state: Tensor, future: Tensor) -> Tensor:
        return self.out(nn.functional.gelu(self.from_state(state)[:, None] + self.from_future(future) + self.step))


def example_batch(config: NetworkConfig, batch_size: int = 2, seed: int = 0) -> WindowBatch:
    """Random windows of the right shapes, for smoke tests, export and examples."""
    generator = torch.Generator().manual_seed(seed)
    size = (batch_size, config.context)
    return WindowBatch(
        past=torch.randn(size, generator=generator),
        present=torch.ones(size, dtype=torch.bool),
        observed=torch.ones(size, dtype=torch.bool),
        past_covariates=torch.randn(*size, config.n_past, generator=generator),
        future_covariates=torch.randn(batch_size, config.horizon, config.n_future, generator=generator),
        static=torch.randn(batch_size, config.n_static, generator=generator),
        series=torch.zeros(batch_size, dtype=torch.long),
        units=torch.tensor([[0.0, 1.0]]).repeat(batch_size, 1),
    )


def stack_targets(outputs: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """One tensor for one target, the list for several."""
    return outputs[0] if len(outputs) == 1 else list(outputs)
