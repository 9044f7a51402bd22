"""From a batch of a pytorch-forecasting loader to a `WindowBatch`: aligned at the origin, no future read.

Upstream's `decoder_cont` holds future targets and unknown reals; only the named known variables are taken from it. Its
encoders are padded at the end; here the last place of every window is the origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_forecasting.data.encoders import TorchNormalizer
from pytorch_forecasting.models.nn.embeddings import MultiEmbedding
from torch import Tensor, nn

from hourglass_ts.model._series import series_numbers
from hourglass_ts.windows.batch import WindowBatch

EPSILON = torch.finfo(torch.float32).eps


class WindowReader(nn.Module):
    """Reads the windows of one target from the dictionary `x` that upstream's loaders give.

    past, future, static: the variables of each role, as upstream's `MultiEmbedding` or the real columns name them.
    observed_real: the real column that is 0 where the target is only a filling.
    group_sizes: codes per group column when the model was made; `series_keys` holds the numbers of its series, sorted.
    """

    series_keys: Tensor

    def __init__(
        self,
        embeddings: MultiEmbedding,
        x_reals: Sequence[str],
        *,
        context: int,
        horizon: int,
        past: Sequence[str],
        future: Sequence[str],
        static: Sequence[str],
        observed_real: str | None,
        group_sizes: Sequence[int],
        n_series: int,
    ) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.columns = {name: place for place, name in enumerate(x_reals)}
        self.context, self.horizon = context, horizon
        self.past, self.future, self.static = list(past), list(future), list(static)
        self.observed_real = observed_real
        self.group_sizes = list(group_sizes)
        self.register_buffer("series_keys", torch.full((n_series,), -1, dtype=torch.long))

    def forward(self, x: dict[str, Any], number: int, normalizer: TorchNormalizer) -> WindowBatch:
        """The windows of target `number`, in the space of its normaliser."""
        lengths = x["encoder_lengths"]
        place = lengths[:, None] - self.context + torch.arange(self.context, device=lengths.device)
        present = place >= 0
        units = target_scale(x, number)
        past = normalise(as_list(x["encoder_target"])[number], units, normalizer)
        observed = present
        if self.observed_real is not None:
            observed = present & (align(x["encoder_cont"], place)[..., self.columns[self.observed_real]] > 0.5)
        future = self._features(x["decoder_cat"], x["decoder_cont"], self.future)[:, : self.horizon]
        # static values come from the decoder's first step, which exists even where the encoder is empty
        static = self._features(x["decoder_cat"][:, :1], x["decoder_cont"][:, :1], self.static)[:, 0]
        return WindowBatch(
            past=torch.where(present, align(past, place), 0.0),
            present=present,
            observed=observed,
            past_covariates=align(self._features(x["encoder_cat"], x["encoder_cont"], self.past), place),
            future_covariates=nn.functional.pad(future, (0, 0, 0, self.horizon - future.shape[1])).nan_to_num(),
            static=static.nan_to_num(),
            series=self.series_codes(x["groups"]),
            units=units,
        )

    def width(self, names: Sequence[str]) -> int:
        """Numbers that these variables take per step."""
        return sum(1 if name in self.columns else self.embeddings.output_size[name] for name in names)

    def series_codes(self, groups: Tensor) -> Tensor:
        """The number of each series among those the model was made from, −1 for any other."""
        numbers = series_numbers(groups, self.group_sizes)
        if len(self.series_keys) == 0:
            return torch.full_like(numbers, -1)
        place = torch.searchsorted(self.series_keys, numbers).clamp(max=len(self.series_keys) - 1)
        return place.where((self.series_keys[place] == numbers) & (numbers >= 0), -1)

    def _features(self, categoricals: Tensor, reals: Tensor, names: Sequence[str]) -> Tensor:
        """(B, time, width) of the named variables, categoricals embedded; nothing else of `reals` is read."""
        embedded = self.embeddings(categoricals) if any(name not in self.columns for name in names) else {}
        parts = [reals[..., self.columns[n], None] if n in self.columns else embedded[n] for n in names]
        return torch.cat(parts, dim=-1) if parts else reals[..., :0]


def align(sequence: Tensor, place: Tensor) -> Tensor:
    """Gather (B, time, …) at `place` (B, L), so that windows end together; places before the start hold anything."""
    width = sequence.shape[2:]
    if sequence.shape[1] == 0:
        return sequence.new_zeros(*place.shape, *width)
    index = place.clamp(min=0, max=sequence.shape[1] - 1).reshape(*place.shape, *[1] * len(width))
    return sequence.gather(1, index.expand(*place.shape, *width)).nan_to_num()


def target_scale(x: dict[str, Any], number: int) -> Tensor:
    """(B, 2) centre and scale; an encoder too short or too constant to have a spread gets scale 1.

    Upstream's encoder normaliser gives a constant window float32's epsilon, which would blow everything else up.
    """
    scale = as_list(x["target_scale"])[number].float()
    centre, spread = scale[:, :1].nan_to_num(), scale[:, 1:]
    return torch.cat([centre, torch.where(spread.isfinite() & (spread > 2 * EPSILON), spread, 1.0)], dim=1)


def normalise(values: Tensor, scale: Tensor, normalizer: TorchNormalizer) -> Tensor:
    """Real units (B, time) → the normaliser's space, by each sample's own scale (B, 2)."""
    return (normalizer.preprocess(values.float()) - scale[:, :1]) / scale[:, 1:]


def as_list(value: Any) -> list[Any]:
    """The list itself, or one value in a list."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
