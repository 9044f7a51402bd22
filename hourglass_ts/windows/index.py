"""Which windows a sorted table has: upstream's index of samples, from arrays instead of a loop over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK = 500_000  # rows at a time, so that the arrays in between stay small beside the table
COLUMNS = ("index_start", "index_end", "sequence_length", "time", "sequence_id")


@dataclass(frozen=True)
class WindowLengths:
    """Shortest and longest window in steps, the first time that may be a target, and the shortest horizon."""

    shortest: int
    longest: int
    first_target: int
    shortest_horizon: int


def find_windows(time: np.ndarray, first_rows: np.ndarray, series: np.ndarray, lengths: WindowLengths) -> np.ndarray:
    """Give the windows, `COLUMNS` (5, n_windows) int32, of rows whose times increase in each series.

    time (n,): of the rows.  first_rows (n_series,): where each series begins.  series (n_series,): its number.
    First the longest window from every row, then those that end where none of these does.

    Example:
        >>> lengths = WindowLengths(shortest=2, longest=3, first_target=0, shortest_horizon=1)
        >>> start, end, *_ = find_windows(np.arange(4), np.array([0]), np.array([0]), lengths)
        >>> list(zip(start.tolist(), end.tolist()))
        [(0, 2), (1, 3), (2, 3), (0, 1)]
    """
    bounds = np.append(first_rows, len(time))
    begins = np.unique(np.searchsorted(bounds, np.arange(0, len(time), BLOCK)))
    begins = begins[begins < len(first_rows)]
    found = np.empty((len(COLUMNS), 2 * len(time)), dtype=np.int32)  # what is never written takes no memory
    n, late = 0, []
    for begin, stop in zip(begins, np.append(begins[1:], len(first_rows)), strict=True):
        longest, others = _of_block(time, bounds[begin : stop + 1], series[begin:stop], lengths)
        found[:, n : n + longest.shape[1]] = longest
        n += longest.shape[1]
        late.append(others)
    others = np.concatenate(late, axis=1)
    found[:, n : n + others.shape[1]] = others
    return found[:, : n + others.shape[1]]


def _of_block(
    time: np.ndarray, bounds: np.ndarray, series: np.ndarray, lengths: WindowLengths
) -> tuple[np.ndarray, np.ndarray]:
    """The longest windows from the rows of whole series between `bounds`, and those with an end of their own."""
    origin, bounds = int(bounds[0]), bounds - bounds[0]
    times = time[origin : origin + bounds[-1]].astype(np.int64)
    rows = np.arange(len(times))
    own = np.repeat(np.arange(len(series)), np.diff(bounds))
    # From the end of a series to the next time goes on by one: a single clock that increases over all rows.
    steps = np.diff(times, prepend=times[0] - 1)
    steps[bounds[:-1]] = 1
    clock = np.cumsum(steps)
    reach = clock + np.minimum(lengths.longest - 1, times[bounds[1:] - 1][own] - times)
    end = np.searchsorted(clock, reach, side="right") - 1
    # While row i is read, the first window not yet finished is open; it ends there too if no other window does.
    finish = np.searchsorted(clock, reach, side="left")
    opened = np.searchsorted(finish, rows, side="left")
    late = np.flatnonzero((finish[opened] > rows) & (clock - clock[opened] + 1 >= lengths.shortest))

    def windows(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        length = times[end] - times[start] + 1
        kept = length >= lengths.shortest
        kept &= length + times[start] >= lengths.first_target + lengths.shortest_horizon
        start, end, length = start[kept], end[kept], length[kept]
        columns = (start + origin, end + origin, length, times[start], series[own[start]])
        return np.stack([column.astype(np.int32) for column in columns])

    return windows(rows, end), windows(opened[late], late)


def last_windows(windows: np.ndarray, reaches_end: np.ndarray) -> np.ndarray:
    """Keep each series' longest window among those where `reaches_end` (n_windows,), by the series' numbers."""
    _, _, length, _, series = windows
    places = np.flatnonzero(reaches_end)
    places = places[np.lexsort((-length[places].astype(np.int64), series[places]))]
    return windows[:, places[np.diff(series[places], prepend=-1) != 0]]


def step_range(time: np.ndarray, begins: np.ndarray) -> tuple[int, int]:
    """Shortest and longest step from row to row inside the series, (1, 1) where there is none.

    begins (n,) bool: rows with which a series begins.
    """
    shortest, longest = 1, 1
    for first in range(0, len(time) - 1, BLOCK):
        part = slice(first, first + BLOCK + 1)
        steps = np.diff(time[part])[~begins[part][1:]]
        shortest, longest = min(shortest, steps.min(initial=1)), max(longest, steps.max(initial=1))
    return int(shortest), int(longest)
