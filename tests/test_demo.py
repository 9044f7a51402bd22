"""The demonstration, with its fits shrunk: every table, forecast and picture it promises."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from hourglass_ts import demo
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.registry import dataset_info

MODELS = {"HourGlassForecaster", "naive", "seasonal naive", "ridge"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame], str]:
    """The whole demonstration run once: its folder, its score tables by data set, and what stood on the screen."""
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    tables: dict[str, pd.DataFrame] = {}
    screen = io.StringIO()

    class Quick:
        load = staticmethod(demo.HourGlassForecaster.load)

        def __new__(cls, **settings: Any) -> Any:
            small = {"max_epochs": 1, "steps_per_epoch": 2, "d_model": 16, "d_ff": 16}
            return HourGlassForecaster(**{**settings, **small})

    run_example = demo.run_example

    def recorded(example: demo.Example, directory: Path, console: Console) -> pd.DataFrame:
        tables[example.name] = run_example(example, directory, console)
        return tables[example.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "HourGlassForecaster", Quick)
        patch.setattr(demo, "run_example", recorded)
        patch.setattr(demo, "Console", lambda: Console(file=screen, width=160))
        demo.run(folder)
    return folder, tables, screen.getvalue()


EXAMPLES = {example.name: example for example in demo.EXAMPLES}


def test_both_data_sets_are_shown(shown: Any) -> None:
    assert set(shown[1]) == {"seattle-weather", "stocks"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_model_is_scored_beside_the_others(shown: Any, name: str) -> None:
    table = shown[1][name].set_index("model")
    assert set(table.index) == MODELS
    assert {"MAE", "MASE", "coverage 80 %"} <= set(table.columns)
    assert table[["MAE", "MASE"]].notna().all(axis=None)
    assert (table["MASE"] > 0.3).all()
    assert (table["MASE"] < 2).all()
    assert 0.5 < table.loc["HourGlassForecaster", "coverage 80 %"] < 1
    assert table.loc["HourGlassForecaster", "MAE"] < 1.1 * table.loc["naive", "MAE"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_forecast_begins_after_the_data(shown: Any, name: str) -> None:
    info, example = dataset_info(name), EXAMPLES[name]
    future = pd.read_csv(shown[0] / f"{name}-forecast.csv", parse_dates=[info.time])
    keys = [info.series] if info.series else []
    assert list(future) == [*keys, info.time, "forecast", "q0.1", "q0.5", "q0.9"]
    sizes = future.groupby(keys).size() if keys else pd.Series([len(future)])
    assert (sizes == example.horizon).all()
    data = demo.load_dataset(name)
    assert future[info.time].min() > data[info.time].max()
    assert future.notna().all(axis=None)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_picture_is_a_picture(shown: Any, name: str) -> None:
    content = (shown[0] / f"{name}.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 20_000


def test_the_screen_says_what_was_found(shown: Any) -> None:
    folder, _, text = shown
    assert text.count("The network's share of the forecast is ") == 2
    for piece in (*MODELS, "MAE", "MASE", "held-out last stretch", "The next 7 steps", "The next 5 steps", "dollars"):
        assert piece in text
    assert "seattle-weather.png" in text.replace("\n", "")
    assert {path.name for path in folder.iterdir()} == {
        f"{name}{end}" for name in EXAMPLES for end in (".png", "-forecast.csv", ".html")
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_report_tells_the_same_scores(shown: Any, name: str) -> None:
    page = (shown[0] / f"{name}.html").read_text(encoding="utf-8")
    assert EXAMPLES[name].heading in page
    assert "seasonal naive" in page
