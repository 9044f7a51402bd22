"""The leak audit of a network: any pytorch-forecasting model on windows of a `TimeSeriesDataSet`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from pytorch_forecasting import TimeSeriesDataSet
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils.data import DataLoader

from hourglass_ts.evaluate.leaks.batches import (
    REORDERED,
    Batch,
    Call,
    NetworkTrial,
    awake,
    distance,
    other_tensor,
    prediction_of,
    where,
    windows_of,
)
from hourglass_ts.evaluate.leaks.encoders import audit_encoder
from hourglass_ts.evaluate.leaks.result import AuditResult, Check, Finding
from hourglass_ts.evaluate.leaks.trials import repeatable
from hourglass_ts.layers.hourglass import HourGlass

WATCHED = 3
"""Windows that are watched, one after another, while all others change."""


def audit_network(
    model: nn.Module, data: TimeSeriesDataSet | DataLoader, *, windows: int = 8, call: Call | None = None, seed: int = 0
) -> AuditResult:
    """Audit a pytorch-forecasting model: what of the future, the padding and its neighbours does a forecast depend on?

    The model stays as it is: a copy is tried, in which parameters that are all zero, as in a fresh head, become noise.

    Args:
        model: `model(x)["prediction"]`, a tensor (B, H, …) or a list of those.
        data: the windows, as a `TimeSeriesDataSet` or a loader of one; it says which columns are known beforehand.
        windows: how many are tried together; of different lengths where there are such.
        call: how a forecast is made, `call(model, x)`, where that is not `model(x)`: DeepAR forecasts with
            `lambda model, x: model(x, n_samples=20)` and reads the true targets without.

    Raises:
        SettingsError: fewer than two windows.

    Example:
        >>> import pandas as pd
        >>> from pytorch_forecasting import NHiTS
        >>> df = pd.DataFrame({"t": range(40), "y": [float(n * 7 % 11) for n in range(40)], "id": "a"})
        >>> settings = {"time_idx": "t", "target": "y", "group_ids": ["id"], "time_varying_unknown_reals": ["y"]}
        >>> data = TimeSeriesDataSet(df, max_encoder_length=8, max_prediction_length=2, **settings)
        >>> audit_network(NHiTS.from_dataset(data, hidden_size=8), data).passed
        True
    """
    dataset = data.dataset if isinstance(data, DataLoader) else data
    items = windows_of(dataset, windows, seed)
    trial = NetworkTrial(awake(model, seed), dataset, items, call or _plain_call, seed)
    outcomes = list(_checks(trial))
    hourglass = next((module for module in model.modules() if isinstance(module, HourGlass)), None)
    if hourglass is not None:
        outcomes += audit_encoder(hourglass, hourglass.d_model, seed=seed).outcomes
    return AuditResult(tuple(outcomes))


def _plain_call(model: nn.Module, x: Batch) -> Any:
    return model(x)


def _checks(trial: NetworkTrial) -> Iterator[Check]:
    name = "forecasts are repeatable"
    if trial.change(trial.x).max() > 0:
        yield Check("network", name, open="two runs with one seed differ (not deterministic): nothing can be concluded")
        return
    alive = trial.change(_with_noise(trial, slice(None))).max() > 0
    yield Check("network", name, open="" if alive else "the forecast depends on nothing: nothing can be concluded")
    yield _unknown_check(trial)
    yield _gradient_check(trial)
    yield from _padding_checks(trial)
    yield _neighbour_check(trial)
    if not _draws(trial):
        yield _company_check(trial)
    yield _training_check(trial)


def _finding(
    trial: NetworkTrial, check: str, change: Tensor, detail: str, column: Any = None, floor: float = 0.0
) -> list[Finding]:
    """A finding where forecasts changed by more than `floor`, at the first step that did."""
    if not change.max() > floor:
        return []
    places = (change > floor).nonzero()
    times = trial.x["decoder_time_idx"]
    leads = places[:, 1] if change.ndim > 1 and change.shape[1] == times.shape[1] else torch.zeros(len(places)).long()
    first = leads.argmin()
    time = int(times[places[first, 0], leads[first]])
    text = f"spreads of the forecasts; from lead {int(leads[first]) + 1} on: {detail}"
    return [Finding("network", check, column, None, time, float(change.max()) / trial.spread, text)]


# --- the decoder -----------------------------------------------------------------------------------------------------


def unknown_decoder_columns(dataset: TimeSeriesDataSet) -> Iterator[tuple[str, str, int, int]]:
    """Columns of the decoder that are not known then: tensor, name, place, and the first step that is unknown.

    A target lagged by less than the horizon is known for as many steps.
    """
    known = set(dataset._static_reals) | set(dataset._time_varying_known_reals)
    known |= set(dataset._static_categoricals) | set(dataset._time_varying_known_categoricals)
    known |= {part for group in known for part in dataset._variable_groups.get(group, [])}
    for tensor, names in (("decoder_cont", dataset.reals), ("decoder_cat", dataset.flat_categoricals)):
        for place, name in enumerate(names):
            if name not in known:
                lagged = dataset.lagged_variables.get(name)
                yield tensor, name, place, dataset._get_lagged_names(lagged)[name] if lagged else 0


def _unknown_check(trial: NetworkTrial) -> Check:
    name = "no future target or unknown column is read"
    findings, tried = [], 1
    change = trial.change({**trial.x, "decoder_target": other_tensor(trial.x["decoder_target"], trial.generator())})
    targets = trial.dataset.target_names
    column = targets[0] if len(targets) == 1 else tuple(targets)
    findings += _finding(trial, name, change, "x['decoder_target'] is read", column)
    for tensor, label, place, first in unknown_decoder_columns(trial.dataset):
        altered = trial.x[tensor].clone()
        altered[:, first:, place] = other_tensor(altered[:, first:, place], trial.generator(), _n_levels(trial, label))
        text = f"x[{tensor!r}][..., {place}] is read" + (f" from step {first + 1} on" if first else "")
        findings += _finding(trial, name, trial.change({**trial.x, tensor: altered}), text, label)
        tried += 1
    return Check("network", name, tried, tuple(findings))


def _gradient_check(trial: NetworkTrial) -> Check:
    """What altering shows by its effect, the gradient shows by its absence."""
    name = "no gradient by future targets or unknown reals"
    x = copy.deepcopy(trial.x)
    leaf = x["decoder_cont"].requires_grad_()
    x["decoder_cont"] = leaf.clone()
    with repeatable(trial.seed):
        prediction = prediction_of(trial.call(trial.model, x), trial.x)
    if not prediction.requires_grad:
        return Check("network", name, 0, note="the forecast has no gradient")
    weights = torch.randn(prediction.shape, generator=trial.generator())
    (gradient,) = torch.autograd.grad((prediction * weights).sum(), leaf, allow_unused=True)
    gradient = torch.zeros_like(leaf) if gradient is None else gradient
    columns = [column for column in unknown_decoder_columns(trial.dataset) if column[0] == "decoder_cont"]
    findings = []
    for _, label, place, first in columns:
        size = float(gradient[:, first:, place].abs().max())
        if size > 0:
            text = f"largest derivative by x['decoder_cont'][..., {place}]"
            findings.append(Finding("network", name, label, None, None, size, text))
    return Check("network", name, len(columns), tuple(findings))


def _n_levels(trial: NetworkTrial, label: str) -> int:
    encoder = trial.dataset._categorical_encoders.get(trial.dataset.variable_to_group_mapping.get(label, label))
    return len(getattr(encoder, "classes_", ())) or 2


# --- padding and neighbours ------------------------------------------------------------------------------------------


def _padding_checks(trial: NetworkTrial) -> Iterator[Check]:
    for side in ("encoder", "decoder"):
        name, lengths = f"{side} padding is not read", trial.x[f"{side}_lengths"]
        pads = torch.arange(int(lengths.max())) >= lengths[:, None]
        if not pads.any():
            continue
        altered = dict(trial.x)
        for key in (f"{side}_cont", f"{side}_target"):
            altered[key] = where(pads, other_tensor(trial.x[key], trial.generator()), trial.x[key])
        change = trial.change(altered)
        text = f"values beyond {side}_lengths are read, so a forecast depends on how long its neighbours are"
        yield Check("network", name, int(pads.any(dim=1).sum()), tuple(_finding(trial, name, change, text)))


def _with_noise(trial: NetworkTrial, rows: Any) -> Batch:
    """The batch with other reals and targets in some windows; lengths and scales stay."""
    altered = dict(trial.x)
    for key in ("encoder_cont", "decoder_cont", "encoder_target", "decoder_target"):
        other, mask = other_tensor(trial.x[key], trial.generator()), torch.zeros(len(trial.items), 1, dtype=torch.bool)
        mask[rows] = True
        altered[key] = where(mask, other, trial.x[key])
    return altered


def _neighbour_check(trial: NetworkTrial) -> Check:
    name = "a forecast does not depend on other windows' values"
    findings = _neighbours(trial, name, "other windows of the batch, which may lie later in time, are read")
    return Check("network", name, min(WATCHED, len(trial.items)), tuple(findings))


def _neighbours(trial: NetworkTrial, name: str, text: str) -> list[Finding]:
    """Alter all windows but one: its own forecast must stay."""
    for row in range(min(WATCHED, len(trial.items))):
        others = [place for place in range(len(trial.items)) if place != row]
        change = trial.change(_with_noise(trial, others))
        change[others] = 0.0
        found = _finding(trial, name, change, text)
        if found:
            return found
    return []


def _company_check(trial: NetworkTrial) -> Check:
    """Alone, and in another order, a window is forecast as before, but for rounding."""
    name = "a forecast is the same alone, and in any order"
    order = torch.randperm(len(trial.items), generator=trial.generator()).tolist()
    ordered = trial.predict(trial.batch([trial.items[place] for place in order]))
    change = distance(ordered, trial.reference[order])
    back = torch.empty_like(change)
    back[order] = change
    findings = _finding(trial, name, back, "the order of the batch counts", floor=trial.rounding)
    try:
        alone = _alone(trial)
    except Exception as error:  # anybody's network; what it raises is the finding
        return Check("network", name, 1, tuple(findings), open=f"alone, it raises {type(error).__name__}: {error}")
    findings = findings or _finding(trial, name, alone, "the company in the batch counts", floor=trial.rounding)
    return Check("network", name, 1 + len(trial.items), tuple(findings), f"up to rounding of {REORDERED:g} spreads")


def _alone(trial: NetworkTrial) -> Tensor:
    change = torch.zeros_like(trial.reference)
    for row, item in enumerate(trial.items):
        alone = trial.predict(trial.batch([item]))[0]
        together = trial.reference[row]
        if alone.shape != together.shape:  # a shorter decoder
            together = together[: len(alone)]
        change[row][: len(alone)] = distance(alone, together)
    return change


def _draws(trial: NetworkTrial) -> bool:
    """Whether forecasts are samples: other batches then draw other numbers, and cannot be compared."""
    return bool((trial.predict(trial.x, trial.seed + 1) != trial.reference).any())


def _training_check(trial: NetworkTrial) -> Check:
    """In training, one window's output must not depend on the others; the same seed draws the same dropout."""
    name = "no statistics of the batch in training"
    model = copy.deepcopy(trial.model).train()
    kept = copy.deepcopy(model.state_dict())

    def call(model: nn.Module, x: Batch) -> Any:
        model.load_state_dict(kept)
        return model(x)

    training = NetworkTrial(model, trial.dataset, trial.items, call, trial.seed)
    norms = [path for path, part in model.named_modules() if isinstance(part, (_BatchNorm, _InstanceNorm))]
    text = "a window's output in training depends on the other windows of its batch"
    text += f" (normalisation in {', '.join(norms)})" if norms else ""
    findings = _neighbours(training, name, text)
    return Check("network", name, min(WATCHED, len(trial.items)), tuple(findings))
