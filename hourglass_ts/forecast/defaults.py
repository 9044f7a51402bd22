"""What a forecaster chooses where its user leaves a setting None: rules of the data alone, and each choice in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hourglass_ts.frames.calendars import Calendar, step_nanoseconds
from hourglass_ts.frames.schema import Panel
from hourglass_ts.network.network import NetworkConfig, default_patch

MAX_EPOCHS, MOST_STEPS, LEAST_STEPS, DRAWS_PER_EPOCH = 20, 50, 10, 16
MOST_WINDOWS, LEAST_WINDOWS, BATCH_NUMBERS = 256, 16, 2**22
FEW_TOKENS, FEWEST_TOKENS = 4, 2

_SPANS = {
    7 * 86_400 * 10**9: "week",
    86_400 * 10**9: "day",
    3_600 * 10**9: "hour",
    60 * 10**9: "minute",
    10**9: "second",
}
"""Nanoseconds of what a span is told in, the longest first."""
_SEASONS = {"D": ("week", 7, "days"), "B": ("week", 5, "business days"), "C": ("week", 5, "business days")}
_SEASONS |= {"W": ("year", 52, "weeks")}
_SEASONS |= dict.fromkeys(("MS", "ME", "BMS", "BME"), ("year", 12, "months"))
_SEASONS |= dict.fromkeys(("QS", "QE", "BQS", "BQE"), ("year", 4, "quarters"))
"""Of steps of a day and longer, by their alias: the season, its steps, and what they are called."""


@dataclass(frozen=True)
class FitSettings:
    """What a fit was done with, given or chosen, and what it means in words.

    context: steps.  patch: steps per token.  shortening_factors: of the hourglass's levels.  d_model: width.
    batch_size: windows.  max_epochs, steps_per_epoch: at most; training stops early.  words: one sentence for each.
    """

    context: int
    patch: int
    shortening_factors: tuple[int, ...]
    d_model: int
    batch_size: int
    max_epochs: int
    steps_per_epoch: int
    words: tuple[str, ...]

    @classmethod
    def of(
        cls, panel: Panel, network: NetworkConfig, n_windows: int, max_epochs: int | None, steps_per_epoch: int | None
    ) -> FitSettings:
        """Choose batches and the length of training where they are None. n_windows: to train on."""
        n_channels = 3 + network.n_past + network.n_future
        batch_size = default_batch_size(network.context + network.horizon, n_channels)
        epochs = max_epochs or MAX_EPOCHS
        steps = steps_per_epoch or default_steps(n_windows, batch_size)
        draws = epochs * steps * batch_size / n_windows
        calendar, _ = Counter(panel.calendars).most_common(1)[0]
        tokens = [network.n_tokens]
        for factor in network.shortening_factors:
            tokens.append(math.ceil(tokens[-1] / factor))
        words = (
            f"context {network.context}: {span_in_words(calendar, network.context)}",
            f"patch {network.patch}: {tokens[0]} tokens",
            f"shortening factors {list(network.shortening_factors)}: {', '.join(map(str, tokens))} tokens per level",
            f"width {network.d_model}: {network.n_heads} heads, {network.d_ff} in each feed-forward layer",
            f"batches of {batch_size} windows: {network.context + network.horizon} steps in {n_channels} channels each",
            f"{epochs} × {steps} steps at most: each of {n_windows:,} windows drawn {draws:,.3g} times",
        )
        return cls(
            network.context,
            network.patch,
            network.shortening_factors,
            network.d_model,
            batch_size,
            epochs,
            steps,
            words,
        )

    def describe(self) -> str:
        """Every setting on a line of its own."""
        return "\n".join(self.words)


def default_factors(context: int, patch: int | None = None) -> tuple[int, ...]:
    """Shorten twice by two; once where there are four tokens or less, not at all where there are two.

    Example:
        >>> default_factors(336), default_factors(4), default_factors(2)
        ((2, 2), (2,), (1,))
    """
    tokens = math.ceil(context / (patch or default_patch(context)))
    return (1,) if tokens <= FEWEST_TOKENS else (2,) if tokens <= FEW_TOKENS else (2, 2)


def default_batch_size(n_steps: int, n_channels: int) -> int:
    """256 windows; fewer, a power of two of 16 or more, where they would be more than four million numbers.

    Example:
        >>> default_batch_size(360, n_channels=3), default_batch_size(600, n_channels=100)
        (256, 64)
    """
    fitting = max(1, BATCH_NUMBERS // (n_steps * n_channels))
    return min(MOST_WINDOWS, max(LEAST_WINDOWS, 2 ** int(math.log2(fitting))))


def default_steps(n_windows: int, batch_size: int) -> int:
    """50 steps in an epoch; down to 10 where those would draw a window more than 16 times.

    Example:
        >>> default_steps(100_000, 256), default_steps(400, 256), default_steps(20, 256)
        (50, 25, 10)
    """
    return min(MOST_STEPS, max(LEAST_STEPS, math.ceil(DRAWS_PER_EPOCH * n_windows / batch_size)))


def span_in_words(calendar: Calendar, n_steps: int) -> str:
    """How long so many steps are, in the calendar's natural seasons.

    Example:
        >>> span_in_words(Calendar("datetime", "h"), 336), span_in_words(Calendar("integer", 1), 8)
        ('14 days of hours', '8 steps')
    """
    season, n_seasons, step = _in_seasons(calendar, n_steps)
    if season is None or n_seasons < 0.1:
        return f"{n_steps} {step}"
    return f"{round(n_seasons, 1):g} {season}{'' if round(n_seasons, 1) == 1 else 's'} of {step}"


def _in_seasons(calendar: Calendar, n_steps: int) -> tuple[str | None, float, str]:
    """The season's name, None where it has none, how many of them so many steps are, and the steps' name."""
    offset = calendar.offset
    if offset is None:
        season = "week" if calendar.kind == "sessions" else None
        return season, n_steps / calendar.season_length, "sessions" if season else "steps"
    other = f"{calendar.freq} steps"
    if (step := step_nanoseconds(offset)) is not None:
        length, span = step * calendar.season_length, step * n_steps
        if calendar.season_length == 1 or length not in _SPANS:
            length = next((unit for unit in _SPANS if unit <= span), span)
        return _SPANS.get(length), span / length, f"{_SPANS[step]}s" if step in _SPANS else other
    season, length, steps = _SEASONS.get(offset.rule_code.split("-")[0], (None, 1, other))
    return season, n_steps * offset.n / length, steps if offset.n == 1 else other


def resolved(context: int, patch: int | None, shortening_factors: Sequence[int] | None) -> tuple[int, list[int]]:
    """The patch and the factors, chosen where they are None."""
    patch = default_patch(context) if patch is None else patch
    chosen = default_factors(context, patch) if shortening_factors is None else shortening_factors
    return patch, [int(factor) for factor in chosen]
