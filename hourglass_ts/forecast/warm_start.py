"""Going on from a fitted network: what a new fit must have in common with the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hourglass_ts.errors import Problem
from hourglass_ts.forecast.neural import TrainedHourGlass
from hourglass_ts.frames.schema import Panel

NEXT_STEP = "Pass it, or fit without warm_start."


def warm_start_problems(
    earlier: TrainedHourGlass, fitted: Panel, panel: Panel, settings: Mapping[str, Any]
) -> list[Problem]:
    """One problem for everything that the weights rest on and that differs from the earlier fit.

    fitted: the earlier fit's panel.  settings: those of the new fit; None takes the earlier one. Rows and series may
    differ, and so may whatever only steers the training.
    """
    network = earlier.model.network.config
    before = {
        "horizon": earlier.plan.horizon,
        "context": earlier.plan.context,
        "quantiles": list(earlier.quantiles),
        "transform": earlier.encoder.scaler.transform_name,
        "scaler": earlier.scaler_name,
        "shortening_factors": list(network.shortening_factors),
        "floor": bool(earlier.model.hparams.floor),
        **{name: getattr(network, name) for name in ("patch", "d_model", "n_heads", "d_ff", "normalise")},
    }
    given = {
        name: list(value) if name in ("quantiles", "shortening_factors") and value is not None else value
        for name, value in settings.items()
    }
    may_be_chosen = ("context", "patch", "shortening_factors")
    pairs = [
        (f"{name}={given[name]!r}", f"{name}={value!r}")
        for name, value in before.items()
        if given[name] != value and not (given[name] is None and name in may_be_chosen)
    ]
    pairs += _role_differences(fitted, panel) or _kind_differences(earlier, panel)
    steps, earlier_steps = (
        sorted({str(calendar.freq).split("-")[0] for calendar in part.calendars}) for part in (panel, fitted)
    )
    if not set(steps) <= set(earlier_steps):
        pairs.append((f"steps of {', '.join(steps)}", f"steps of {', '.join(earlier_steps)}"))
    return [Problem(found, f"{expected}, as in the fit to go on from", NEXT_STEP) for found, expected in pairs]


def _role_differences(fitted: Panel, panel: Panel) -> list[tuple[str, str]]:
    """Roles with other columns than before. Several targets are as many series, and may be others."""
    ours, theirs = panel.given_roles, fitted.given_roles
    roles = ["series", "known", "past", "static"]
    if len(ours.target) == 1 or len(theirs.target) == 1:
        roles.insert(0, "target")
    pairs = [
        (f"{role}={list(getattr(ours, role))}", f"{role}={list(getattr(theirs, role))}")
        for role in roles
        if getattr(ours, role) != getattr(theirs, role)
    ]
    made = [[label for feature in part.features for label in feature.labels] for part in (panel, fitted)]
    if panel.features != fitted.features:
        pairs.append((f"columns {made[0]} made from the time", f"columns {made[1]}, of the same holidays and cycles"))
    return pairs


def _kind_differences(earlier: TrainedHourGlass, panel: Panel) -> list[tuple[str, str]]:
    """Covariates that were numbers and are text, or the other way round."""
    kinds = {True: "numbers", False: "text"}
    return [
        (f"{kinds[is_number]} in column {covariate.label!r}", f"{kinds[not is_number]}")
        for covariate in earlier.encoder.covariates
        if (is_number := pd.api.types.is_numeric_dtype(panel.table[covariate.label])) != (covariate.categories is None)
    ]
