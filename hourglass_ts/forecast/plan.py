"""How long the windows of a panel are, and which of its last steps are held out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hourglass_ts.errors import DataError, Problem, raise_problems
from hourglass_ts.frames.schema import UNIT, Panel, unit_names

MAX_CONTEXT = 512
VALIDATION_SHARE, VALIDATION_HORIZONS = 0.2, 50
MANY_SERIES, VALIDATION_WINDOWS = 50, 250
N_SHOWN = 3


@dataclass(frozen=True)
class WindowPlan:
    """Lengths in steps: of a window's context and horizon, of the shortest context used, and of the validation tail."""

    context: int
    horizon: int
    min_context: int
    validation: int

    @classmethod
    def of(cls, panel: Panel, horizon: int, context: int | None) -> WindowPlan:
        """Choose what is not given: eight seasons or two horizons of context, as the series allow.

        The tail holds 50 horizons, since series share their time; of more than 50 series, 250 over all together. It is
        at most a fifth of a typical series, and at least one horizon.
        """
        lengths = unit_lengths(panel)
        typical = int(np.median(lengths))
        if context is None:
            season = int(np.median([calendar.season_length for calendar in panel.calendars]))
            wanted = min(MAX_CONTEXT, max(2 * horizon, 8 * season))
            context = max(1, min(wanted, typical // 4))
        min_context = max(1, min(context, horizon, context // 2))
        few = len(lengths) <= MANY_SERIES
        enough = horizon * (VALIDATION_HORIZONS if few else math.ceil(VALIDATION_WINDOWS / len(lengths)))
        validation = max(horizon, min(enough, int(VALIDATION_SHARE * typical)))
        return cls(
            context, horizon, min_context, min(validation, max(horizon, int(lengths.max()) - min_context - horizon))
        )

    def check(self, panel: Panel) -> None:
        """Raise a DataError for series shorter than one window, and where no series leaves a validation tail."""
        lengths = unit_lengths(panel)
        one_window = self.min_context + self.horizon
        short = np.flatnonzero(lengths < one_window)
        problems = []
        if len(short):
            names = [name or "the series" for name in unit_names(panel.keys, panel.roles, short[:N_SHOWN])]
            listed = ", ".join(f"{name} ({lengths[unit]} steps)" for name, unit in zip(names, short, strict=False))
            more = f" and {len(short) - N_SHOWN} more" if len(short) > N_SHOWN else ""
            problems.append(
                Problem(
                    f"{len(short)} series shorter than one window: {listed}{more}",
                    f"{one_window} steps or more ({self.min_context} of context and {self.horizon} of horizon)",
                    "Leave them out, or pass a shorter horizon or context.",
                )
            )
        elif lengths.max() < one_window + self.horizon:
            problems.append(
                Problem(
                    f"{lengths.max()} steps in the longest series",
                    f"{one_window + self.horizon} or more: one window to learn from and a horizon to validate on",
                    "Bring more history, or pass a shorter horizon or context.",
                )
            )
        raise_problems(DataError, problems)


def unit_lengths(panel: Panel) -> np.ndarray:
    """Steps of every unit, holes included."""
    return np.bincount(panel.table[UNIT].to_numpy(), minlength=len(panel.keys))
