"""pytorch-forecasting's own test suite, run out of tree on `HourGlassModel`."""

import numpy as np
import pandas as pd
import pytest
from pytorch_forecasting.tests import _data_scenarios
from pytorch_forecasting.tests.test_all_estimators import TestAllPtForecasters as UpstreamSuite

from hourglass_ts.model._model_pkg import HourGlassModel_pkg


def stallion_like() -> pd.DataFrame:
    """A made frame with the columns of the one that upstream downloads."""
    rng = np.random.default_rng(0)
    dates = pd.date_range("2013-01-01", "2017-12-01", freq="MS")
    special = ["easter_day", "good_friday", "new_year", "christmas", "labor_day", "independence_day"]
    special += ["revolution_day_memorial", "regional_games", "fifa_u_17_world_cup", "football_gold_cup"]
    special += ["beer_capital", "music_fest"]
    parts = []
    for agency in ("Agency_01", "Agency_02"):
        for sku in ("SKU_01", "SKU_02"):
            n = len(dates)
            season = 1 + 0.5 * np.sin(2 * np.pi * dates.month / 12)
            part = pd.DataFrame(
                {"agency": agency, "sku": sku, "date": dates, "volume": 50 * season * rng.uniform(0.8, 1.2, n)}
            )
            for name in ("price_regular", "price_actual", "discount", "discount_in_percent", "avg_max_temp"):
                part[name] = rng.uniform(1, 2, n)
            for name in ("industry_volume", "soda_volume"):
                part[name] = rng.uniform(100, 200, n)
            part["avg_population_2017"] = float(rng.integers(1000, 2000))
            part["avg_yearly_household_income_2017"] = float(rng.integers(1000, 2000))
            for name in special:
                part[name] = rng.integers(0, 2, n)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(autouse=True)
def offline_stallion(monkeypatch):
    monkeypatch.setattr(_data_scenarios, "get_stallion_data", stallion_like)


class TestHourGlassModel(UpstreamSuite):
    def _all_objects(self):
        return [HourGlassModel_pkg]


def test_nothing_is_skipped():
    tags = HourGlassModel_pkg.get_class_tags()
    assert set(tags["info:pred_type"]) == {"point", "quantile", "distr"}
    assert not tags.get("tests:skip_by_name")
