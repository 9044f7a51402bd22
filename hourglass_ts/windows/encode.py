"""From the checked table to the numbers that windows are cut from: scaled, filled causally, flagged, coded."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.frames.schema import OBSERVED, STEP, UNIT, VALUE, Panel
from hourglass_ts.windows.normalise import RELATIVE_NOISE, SeriesScaler

TARGET, FLAG, WEIGHT, TIME_IDX, SERIES = "target", "observed", "weight", "time_idx", "series"
UNKNOWN = "nan"
LABEL_WIDTH = 9


@dataclass(frozen=True)
class Covariate:
    """One covariate: its role, and how its column becomes numbers.

    name: the column that windows call it by.  label: the user's.  role: known, past or static.
    categories: codes of a categorical one, None for a real one.  centre, scale: of a real one.
    """

    name: str
    label: Hashable
    role: str
    categories: tuple[str, ...] | None
    centre: float = 0.0
    scale: float = 1.0

    @classmethod
    def fit(cls, name: str, label: Hashable, role: str, column: pd.Series) -> Covariate:
        """Learn categories, or mean and standard deviation, from training rows."""
        if not pd.api.types.is_numeric_dtype(column):
            return cls(name, label, role, tuple(sorted(column.dropna().astype(str).unique())))
        spread = float(column.std(ddof=0))
        centre = float(column.mean())
        usable = np.isfinite(spread) and spread > RELATIVE_NOISE * abs(centre)
        return cls(name, label, role, None, centre if np.isfinite(centre) else 0.0, spread if usable else 1.0)

    def encode(self, column: pd.Series, units: pd.Series) -> pd.Series:
        """Codes as text, or scaled numbers. Holes take the series' earlier value, then the training mean."""
        filled = column.groupby(units).ffill()
        if self.categories is not None:
            codes = {category: str(code) for code, category in enumerate(self.categories)}
            return filled.map(codes).fillna(UNKNOWN)
        return ((filled.astype(np.float64) - self.centre) / self.scale).fillna(0.0)


@dataclass(frozen=True)
class TableEncoder:
    """What was learnt from a panel's training rows; turns its table into the frame that windows are cut from.

    Statistics come from the rows it was fitted on, fillings from earlier rows alone: no later row changes one.
    """

    scaler: SeriesScaler
    covariates: tuple[Covariate, ...]

    @classmethod
    def fit(
        cls, panel: Panel, training: pd.Series, transform_name: str | None, scaler_name: str | None = "standard"
    ) -> TableEncoder:
        """Learn from the rows of `panel.table` where `training` is True."""
        rows = panel.table[training.to_numpy()]
        values = rows[VALUE].where(rows[OBSERVED]).to_numpy()  # what stands in a hole is no evidence
        scaler = SeriesScaler.fit(values, rows[UNIT].to_numpy(), len(panel.keys), transform_name, scaler_name)
        roles = panel.roles
        labelled = [(role, label) for role in ("known", "past", "static") for label in getattr(roles, role)]
        covariates = tuple(
            Covariate.fit(f"{role}_{number}", label, role, rows[label]) for number, (role, label) in enumerate(labelled)
        )
        return cls(scaler, covariates)

    def frame(self, table: pd.DataFrame, codes: np.ndarray, time_idx: np.ndarray) -> pd.DataFrame:
        """One row per row of `table`: series code, time index, scaled target with holes filled, flag, covariates.

        codes (n_units,): the fitted number of each of the table's units.  time_idx (n_rows,): integer times.
        """
        units = table[UNIT]
        unit_codes = codes[units.to_numpy()]
        filled = table[VALUE].groupby(units).ffill()
        columns: dict[str, Any] = {
            SERIES: series_labels(unit_codes),
            TIME_IDX: time_idx,
            TARGET: self.scaler.transform(filled.to_numpy(), unit_codes),
            FLAG: table[OBSERVED].to_numpy(np.float64),
            WEIGHT: table[OBSERVED].to_numpy(np.float64),
        }
        columns |= {c.name: c.encode(table[c.label], units).to_numpy() for c in self.covariates}
        return pd.DataFrame(columns)

    def example_frame(self, n_series: int, n_steps: int) -> pd.DataFrame:
        """A frame with the right columns and nothing in them: `n_steps` rows of every series."""
        columns: dict[str, Any] = {
            SERIES: series_labels(np.repeat(np.arange(n_series), n_steps)),
            TIME_IDX: np.tile(np.arange(n_steps), n_series),
        }
        columns |= dict.fromkeys((TARGET, FLAG, WEIGHT), 0.0)
        columns |= {c.name: 0.0 if c.categories is None else UNKNOWN for c in self.covariates}
        return pd.DataFrame(columns)

    def names(self, role: str, categorical: bool) -> list[str]:
        """The window columns of a role, categorical or real ones."""
        return [c.name for c in self.covariates if c.role == role and (c.categories is not None) == categorical]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain values and arrays that `from_state` takes; labels of columns are left to the caller."""
        plain = {
            "transform": self.scaler.transform_name,
            "covariates": [{k: v for k, v in asdict(c).items() if k != "label"} for c in self.covariates],
        }
        parts = {name: getattr(self.scaler, name) for name in ("centre", "scale", "power", "unit")}
        return plain, {f"scaler_{name}": np.asarray(part, dtype=np.float64) for name, part in parts.items()}

    @classmethod
    def from_state(
        cls, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray], labels: Sequence[Hashable]
    ) -> TableEncoder:
        """Undo `state`, given the users' labels of the covariates in order."""
        covariates = []
        for stored, label in zip(plain["covariates"], labels, strict=True):
            categories = None if stored["categories"] is None else tuple(stored["categories"])
            covariates.append(Covariate(**{**stored, "label": label, "categories": categories}))
        parts = (arrays.get(f"scaler_{name}", np.float64(1)) for name in ("power", "unit"))  # version 0.1 had neither
        scaler = SeriesScaler(arrays["scaler_centre"], arrays["scaler_scale"], plain["transform"], *parts)
        return cls(scaler, tuple(covariates))


def series_labels(codes: np.ndarray) -> pd.Series:
    """Series numbers as text that sorts as the numbers do, so that upstream's label encoder numbers them alike."""
    place, distinct = pd.factorize(codes, sort=True)
    labels = np.array([str(code).zfill(LABEL_WIDTH) for code in distinct.tolist()], dtype=object)
    return pd.Series(pd.Categorical.from_codes(place, labels))


def aligned_time(table: pd.DataFrame, last_step: np.ndarray, longest: int) -> np.ndarray:
    """Integer times at which every series' last observed step, `last_step` (n_units,), is `longest`."""
    return (table[STEP].to_numpy() - last_step[table[UNIT].to_numpy()] + longest).astype(np.int64)
