"""The windows that an explanation is measured on: which origins, which series, and what came true after them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem
from hourglass_ts.evaluate.explain_network import AT_ONCE, joined, network_outputs, picked
from hourglass_ts.forecast.neural import TrainedHourGlass
from hourglass_ts.forecast.plan import WindowPlan
from hourglass_ts.forecast.protocol import PanelForecaster
from hourglass_ts.forecast.training import seeded
from hourglass_ts.frames.origins import unit_bounds, view_from
from hourglass_ts.frames.schema import OBSERVED, TIME, UNIT, VALUE, Panel
from hourglass_ts.frames.wording import show_time
from hourglass_ts.network.scale import WindowScale
from hourglass_ts.windows.batch import WindowBatch
from hourglass_ts.windows.normalise import check_transform

MOST_ORIGINS, FEWEST_ORIGINS, MOST_WINDOWS = 100, 20, 2048


@dataclass(frozen=True)
class Sample:
    """Windows of a fitted model.

    batch: their inputs.  codes (n,): the numbers of their series.  origins: the times that windows end at, in order;
    origin (n,): which one a window has.  actual (n, horizon): in the target's unit, NaN where it was not observed.
    notes: what is not as one might expect.
    """

    trained: TrainedHourGlass
    batch: WindowBatch
    codes: np.ndarray
    origins: pd.Index
    origin: np.ndarray
    actual: np.ndarray
    notes: tuple[str, ...]

    @property
    def last(self) -> np.ndarray:
        """(n, 1) the last value of every window, scaled."""
        return self.batch.past[:, -1:].numpy()

    def floor(self) -> np.ndarray:
        """(n, horizon) the floor's forecasts, scaled."""
        batch = self.batch
        return self.trained.model.floors[0](batch.past, batch.present, batch.series, batch.units).numpy()

    def spread(self) -> Tensor:
        """(n, 1) what the network's outputs are measured in."""
        return WindowScale.of(self.batch, self.trained.model.network.config.normalise).spread.double()

    def addition(self, inputs: WindowBatch) -> np.ndarray:
        """(n, horizon) share × residual, scaled, where the network reads `inputs` in place of the windows' own."""
        outputs = network_outputs(self.trained.model.network, inputs)
        return (self.trained.share * self.spread() * outputs).numpy()

    def in_units(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled values (n, …) in the target's unit."""
        return self.trained.encoder.scaler.invert(scaled, self.codes)


def draw_sample(model: PanelForecaster, trained: TrainedHourGlass, df: pd.DataFrame, origins: Any) -> Sample:
    """The windows of `df` that end at `origins`, or at those chosen here, and have the rows of a horizon after them.

    Raises DataError for a frame or origins that leave no window.
    """
    panel, codes = model._read(df)
    fitted = np.flatnonzero(codes >= 0)
    if not len(fitted):
        model._check_fitted_on(panel, codes)
    counted = panel.table[OBSERVED] & panel.table[UNIT].isin(fitted)
    times = pd.Index(panel.table[TIME][counted].unique()).sort_values()
    asked = _default_origins(panel, trained.plan, times, len(fitted)) if origins is None else _given(origins, times)
    taken = _taken(fitted, len(asked))
    ends = _window_ends(panel, asked, trained.plan.horizon, taken)
    if not len(ends):
        raise_problem(
            DataError,
            Problem(
                "no origin left to explain",
                f"a fitted series with history up to an origin and {trained.plan.horizon} steps of values after it",
                "Bring more rows, or pass earlier origins.",
            ),
        )
    used, origin = np.unique(ends["origin"].to_numpy(), return_inverse=True)
    notes = _notes_on(len(codes), fitted, taken, len(asked), len(used) if origins is not None else len(asked))
    unit, row = ends["unit"].to_numpy(), ends["row"].to_numpy()
    prepared = model._prepare(panel)
    check_transform(prepared, trained.encoder.scaler.transform_name)
    return Sample(
        trained=trained,
        batch=_batch(trained, prepared, codes, unit, row),
        codes=codes[unit],
        origins=asked[used],
        origin=origin,
        actual=_actual(panel, row, trained.plan.horizon),
        notes=notes,
    )


def _batch(
    trained: TrainedHourGlass, panel: Panel, codes: np.ndarray, unit: np.ndarray, row: np.ndarray
) -> WindowBatch:
    dataset, window = trained.windows_within(panel, codes, unit, row)
    model = trained.model
    with torch.no_grad(), seeded(0):  # a loader draws a number, even in order
        loader = dataset.to_dataloader(train=False, batch_size=AT_ONCE)
        windows = joined([model.reader(x, 0, model.output_transformer) for x, _ in loader])
    return picked(windows, window)


def _actual(panel: Panel, row: np.ndarray, horizon: int) -> np.ndarray:
    observed = panel.table[VALUE].where(panel.table[OBSERVED]).to_numpy()
    return observed[row[:, None] + np.arange(1, horizon + 1)]


def _window_ends(panel: Panel, origins: pd.Index, horizon: int, units: np.ndarray) -> pd.DataFrame:
    """origin, unit and row of every window's last step, each once, that has rows and a value in the horizon after."""
    among = np.isin(np.arange(len(panel.keys)), units)
    _, last = unit_bounds(panel)
    parts = [pd.DataFrame({"origin": [], "unit": [], "row": []}, dtype=np.int64)]
    for number, origin in enumerate(origins):
        view = view_from(panel, origin, horizon, among=among, given_known=False)
        goes_on = view.ends + horizon <= last[view.units]
        parts.append(pd.DataFrame({"origin": number, "unit": view.units[goes_on], "row": view.ends[goes_on]}))
    ends = pd.concat(parts, ignore_index=True).drop_duplicates("row")  # an origin in a hole looks back to its start
    return ends[np.isfinite(_actual(panel, ends["row"].to_numpy(), horizon)).any(axis=1)]


def _default_origins(panel: Panel, plan: WindowPlan, times: pd.Index, n_units: int) -> pd.Index:
    """The last origins with a horizon of values after them, as far apart as a horizon where the history allows."""
    usable = times[plan.min_context - 1 : max(0, len(times) - plan.horizon)]
    n = int(np.clip(MOST_WINDOWS // max(1, n_units), FEWEST_ORIGINS, MOST_ORIGINS))
    season = int(np.median([calendar.season_length for calendar in panel.calendars]))
    return usable[::-1][:: _spacing(len(usable) // n, plan.horizon, season)][:n][::-1]


def _spacing(most: int, horizon: int, season: int) -> int:
    """Steps between origins: at most so many and a horizon, and such that all hours of a day, say, come up.

    At origins of one hour a known hour of the day is the same everywhere, and to exchange it changes nothing.

    Example:
        >>> _spacing(100, 24, 24), _spacing(100, 5, 7), _spacing(0, 24, 24)
        (23, 4, 1)
    """
    steps = range(max(1, min(most, horizon)), 0, -1)
    return next(step for step in steps if math.gcd(step, season * horizon) == 1)


def _given(origins: Any, times: pd.Index) -> pd.Index:
    """A user's origins, sorted, each once."""
    is_listed = isinstance(origins, (Sequence, np.ndarray, pd.Index, pd.Series)) and not isinstance(origins, str)
    if not is_listed or len(origins) == 0:
        problem = Problem(f"origins={origins!r}", "a list of one time or more, or None", "Pass a list of times.")
        raise_problem(SettingsError, problem)
    listed = pd.Index(list(origins))
    if listed.hasnans or not _are_comparable(listed, times):
        found = f"origins of type {listed.dtype}" + (", some missing" if listed.hasnans else "")
        raise_problem(DataError, Problem(found, f"times such as {show_time(times[-1])}", "Convert them."))
    return listed.unique().sort_values()


def _are_comparable(origins: pd.Index, times: pd.Index) -> bool:
    try:
        return len(origins <= times[-1]) == len(origins)
    except TypeError:
        return False


def _taken(fitted: np.ndarray, n_origins: int) -> np.ndarray:
    """The units to look at: all, or so many at equal distances that the windows do not become too many."""
    most = max(2, MOST_WINDOWS // max(1, n_origins))
    if len(fitted) <= most:
        return fitted
    return fitted[np.linspace(0, len(fitted) - 1, most).round().astype(int)]


def _notes_on(n_units: int, fitted: np.ndarray, taken: np.ndarray, n_asked: int, n_used: int) -> tuple[str, ...]:
    strangers = n_units - len(fitted)
    empty = n_asked - n_used
    found = {
        f"{strangers:,} of {n_units:,} series were not fitted, and are left out.": strangers,
        f"Measured on {len(taken):,} of {len(fitted):,} series, to save time.": len(fitted) - len(taken),
        f"{empty:,} of {n_asked:,} origins have no window of their own with values after it.": empty,
    }
    return tuple(note for note, count in found.items() if count)
