"""What a picture shows, read back from its artists."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError, MissingExtraError
from hourglass_ts.report.figures import plot_forecast, save_figure

H = 5


def make_history(names=("a",), n=60, tz=None):
    times = pd.date_range("2024-01-01", periods=n, freq="D", tz=tz)
    return pd.concat([pd.DataFrame({"site": name, "day": times, "load": np.arange(n, dtype=float)}) for name in names])


def make_forecast(names=("a",), n=60, tz=None):
    times = pd.date_range("2024-01-01", periods=n + H, freq="D", tz=tz)[n:]
    values = np.full(H, float(n))
    columns = {"day": times, "forecast": values, "q0.1": values - 2, "q0.5": values, "q0.9": values + 3}
    return pd.concat([pd.DataFrame({"site": name, **columns}) for name in names])


def draw(history, forecast, **options):
    settings = {"time": "day", "target_label": "load", "series": "site"} | options
    return plot_forecast(history, forecast, **settings)


def line(axis, label):
    return next(artist for artist in axis.lines if artist.get_label() == label)


def legend_labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_lines_hold_the_values_and_start_at_the_last_observation():
    figure = draw(make_history(), make_forecast())
    (axis,) = figure.axes
    np.testing.assert_array_equal(line(axis, "history").get_ydata(), np.arange(60.0)[-24:])
    np.testing.assert_array_equal(line(axis, "forecast").get_ydata(), [59.0, *[60.0] * H])


def test_band_holds_the_outer_quantiles():
    (axis,) = draw(make_history(), make_forecast()).axes
    (band,) = axis.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (58.0, 63.0)


def test_legend_says_what_the_bands_mean():
    assert legend_labels(draw(make_history(), make_forecast())) == ["history", "forecast", "80 % interval"]


def test_what_came_true_is_drawn_when_given():
    actual = make_history(n=60 + H).iloc[60:]
    figure = draw(make_history(), make_forecast(), actual=actual)
    assert "what came true" in legend_labels(figure)
    np.testing.assert_array_equal(line(figure.axes[0], "what came true").get_ydata(), [59.0, *np.arange(60.0, 65.0)])


def test_history_ends_before_the_forecast_even_when_the_frame_goes_on():
    figure = draw(make_history(n=60 + H), make_forecast())
    assert line(figure.axes[0], "history").get_ydata()[-1] == 59.0


def test_history_ends_at_the_last_observed_value():
    history = make_history()
    history.loc[history.index[-2:], "load"] = np.nan
    figure = draw(history, make_forecast())
    assert line(figure.axes[0], "history").get_ydata()[-1] == 57.0


def test_missing_values_are_a_gap_in_the_line():
    history = make_history()
    history.loc[history.index[-5], "load"] = np.nan
    assert np.isnan(line(draw(history, make_forecast()).axes[0], "history").get_ydata()[-5])


def test_more_series_than_panels_is_said():
    names = [f"s{i}" for i in range(9)]
    figure = draw(make_history(names), make_forecast(names), max_series=4)
    assert len(figure.axes) == 4
    assert figure.legends[0].get_title().get_text() == "Forecast of load (the first 4 of 9 series)"
    assert [axis.get_title(loc="left") for axis in figure.axes] == names[:4]


def test_one_target_of_several_is_drawn():
    loads, prices = make_forecast().assign(target="load"), make_forecast().assign(target="price", forecast=-1.0)
    figure = draw(make_history(), pd.concat([loads, prices]))
    assert line(figure.axes[0], "forecast").get_ydata().min() == 59.0


def test_a_series_column_named_target_is_not_mistaken():
    history, forecast = (frame.rename(columns={"site": "target"}) for frame in (make_history(), make_forecast()))
    assert len(draw(history, forecast, series="target").axes) == 1


CASES = {
    "no series column": ({"series": None}, {}),
    "several series columns": ({"series": ["site", "kind"]}, {"kind": "x"}),
    "integer time": ({}, {"day": "integer"}),
    "time zone": ({"tz": "Europe/Berlin"}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_shape_of_input_is_drawn_and_written(case, tmp_path):
    options, columns = CASES[case]
    options = dict(options)
    tz = options.pop("tz", None)
    history, forecast = make_history(tz=tz), make_forecast(tz=tz)
    for frame, start in ((history, 0), (forecast, 60)):
        for name, value in columns.items():
            frame[name] = range(start, start + len(frame)) if value == "integer" else value
    path = save_figure(draw(history, forecast, **options), tmp_path / "picture.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_times_are_shown_in_their_own_zone():
    (axis,) = draw(make_history(tz="Asia/Tokyo"), make_forecast(tz="Asia/Tokyo")).axes
    assert str(axis.xaxis.get_major_locator().tz) == "Asia/Tokyo"


def test_one_step_is_drawn_without_history():
    figure = draw(make_history().iloc[:0], make_forecast().iloc[:1])
    assert legend_labels(figure)[-1] == "80 % interval"


def test_pictures_are_1200_pixels_wide(tmp_path):
    from matplotlib.image import imread

    path = save_figure(draw(make_history(), make_forecast()), tmp_path / "picture.png")
    assert imread(path).shape[1] == 1200


def test_inputs_are_not_changed():
    history, forecast = make_history(), make_forecast()
    before = history.copy(), forecast.copy()
    draw(history, forecast)
    pd.testing.assert_frame_equal(history, before[0])
    pd.testing.assert_frame_equal(forecast, before[1])


def test_every_missing_column_is_named_at_once():
    with pytest.raises(DataError, match=r"(?s)'load'.*'forecast'"):
        draw(make_history().drop(columns="load"), make_forecast().drop(columns="forecast"))


def test_a_forecast_without_rows_is_refused():
    with pytest.raises(DataError, match="without rows"):
        draw(make_history(), make_forecast().iloc[:0])


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"hourglass_ts\[plot\]"):
        draw(make_history(), make_forecast())


def test_pyplot_is_not_imported():
    draw(make_history(), make_forecast())
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
