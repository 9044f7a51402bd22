"""What each chart shows, read back from its artists."""

from __future__ import annotations

import inspect
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from hourglass_ts.errors import SettingsError
from hourglass_ts.report import charts, diagnostics
from hourglass_ts.report.style import (
    ALARM,
    FOCUS,
    MOST_POINTS,
    MUTED,
    NARROW,
    WIDE,
    NothingToDraw,
    show_times,
    spread,
    thin,
)
from tests.report.stories import empty_story, make_story

CHARTS = {
    name: draw
    for module in (charts, diagnostics)
    for name, draw in inspect.getmembers(module, inspect.isfunction)
    if "look" in inspect.signature(draw).parameters and draw.__module__ == module.__name__ and name[0] != "_"
}
FIGURES = sorted(set(CHARTS) - {"explanation_charts", "explanation_chart"})


@pytest.fixture(scope="module")
def story():
    return make_story(n_series=2)


def line(axis, label):
    return next(artist for artist in axis.lines if artist.get_label() == label)


def written(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def own_window(story, series, fold, model="hourglass"):
    frame = story.forecasts
    return frame[(frame["model"] == model) & (frame["series"] == series) & (frame["fold"] == fold)]


def test_every_chart_is_found():
    assert set(FIGURES) == {
        "fan_chart", "error_by_lead", "skill_by_lead", "revision_chart", "worst_windows",
        "calibration", "conditional_coverage", "pit_histogram", "residual_checks",
    }  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("look", [WIDE, NARROW], ids=["wide", "narrow"])
def test_each_is_a_figure_of_the_asked_width(name, look, story):
    figure = CHARTS[name](story, look=look)
    assert isinstance(figure, Figure)
    assert figure.get_size_inches()[0] == look.width


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_said(name):
    with pytest.raises(NothingToDraw):
        CHARTS[name](empty_story())


@pytest.mark.parametrize("name", FIGURES)
def test_charts_change_neither_story_nor_settings(name, story):
    import matplotlib

    before, settings = make_story(n_series=2), dict(matplotlib.rcParams)
    CHARTS[name](story)
    for frame in ("forecasts", "history", "by_lead", "coverage", "conditional", "worst"):
        pd.testing.assert_frame_equal(getattr(story, frame), getattr(before, frame))
    assert dict(matplotlib.rcParams) == settings


def test_fan_chart_holds_the_last_fold_of_the_first_series(story):
    (axis,) = charts.fan_chart(story).axes
    expected = own_window(story, "store 0", 7)
    np.testing.assert_allclose(line(axis, "forecast").get_ydata()[1:], expected["forecast"])
    np.testing.assert_allclose(line(axis, "what came true").get_ydata()[1:], expected["actual"])
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    last = line(axis, "history").get_ydata()[-1]
    assert heights.max() == pytest.approx(max(expected["q0.95"].max(), last))


def test_fan_chart_holds_the_asked_window(story):
    (axis,) = charts.fan_chart(story, "store 1", 2).axes
    np.testing.assert_allclose(line(axis, "forecast").get_ydata()[1:], own_window(story, "store 1", 2)["forecast"])


def test_history_ends_where_the_forecast_begins(story):
    (axis,) = charts.fan_chart(story, "store 1", 2).axes
    seen = story.history[story.history["series"] == "store 1"].set_index("time")["actual"]
    origin = own_window(story, "store 1", 2)["origin"].iloc[0]
    assert line(axis, "history").get_ydata()[-1] == seen.loc[origin]
    assert line(axis, "forecast").get_ydata()[0] == seen.loc[origin]


@pytest.mark.parametrize(("series", "fold"), [("store 9", None), (None, 99), ("store 0", 99)])
def test_a_window_that_is_not_there_is_refused(story, series, fold):
    with pytest.raises(SettingsError, match="no forecast of series"):
        charts.fan_chart(story, series, fold)


def test_a_model_without_quantiles_has_no_bands():
    (axis,) = charts.fan_chart(replace(make_story(), model="naive")).axes
    assert len(axis.collections) == 0


def test_times_keep_their_zone():
    (axis,) = charts.fan_chart(make_story(tz="Asia/Tokyo")).axes
    assert str(axis.xaxis.get_major_locator().tz) == "Asia/Tokyo"


SPANS = ["90s", "50min", "5h", "30h", "60h", "90h", "5D", "24D", "29D", "40D", "100D", "400D", "1200D", "9000D"]


@pytest.mark.parametrize("ticks", [4, 8, 10])
@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("start", ["2024-02-27 21:00", "2024-04-16"])
def test_every_span_of_time_has_a_few_ticks(ticks, span, start):
    axis = Figure().subplots()
    times = pd.DatetimeIndex([pd.Timestamp(start), pd.Timestamp(start) + pd.Timedelta(span)])
    axis.plot(times, [0, 1])
    show_times(axis, times, ticks)
    low, high = axis.get_xlim()
    assert 2 <= sum(low <= at <= high for at in axis.get_xticks()) <= ticks + 2


def test_long_histories_are_thinned_and_keep_their_extremes():
    times = pd.date_range("2024-01-01", periods=30_000, freq="min")
    values = pd.Series(np.random.default_rng(0).normal(size=30_000), index=times)
    values.iloc[12_345] = 50.0
    values.iloc[23_456] = -50.0
    few = thin(values)
    assert len(few) <= MOST_POINTS
    assert (few.max(), few.min()) == (50.0, -50.0)
    assert few.index.is_monotonic_increasing
    assert (few.index[0], few.index[-1]) == (times[0], times[-1])


def test_thinning_keeps_gaps():
    values = pd.Series(np.r_[np.zeros(2000), np.full(2000, np.nan), np.zeros(2000)])
    assert thin(values).isna().any()


def test_error_by_lead_holds_the_errors_and_colours_one_model(story):
    (axis,) = charts.error_by_lead(story).axes
    focus = line(axis, "hourglass")
    np.testing.assert_allclose(focus.get_ydata(), 1.0 + np.arange(1, 8) / 10)
    assert to_hex(focus.get_color()) == FOCUS
    assert {to_hex(line(axis, name).get_color()) for name in ("ridge", "naive")} == {MUTED}
    assert len({str(line(axis, name).get_linestyle()) for name in ("ridge", "naive", "seasonal naive")}) > 1
    assert {"hourglass", "ridge", "seasonal naive", "naive"} <= set(written(axis.figure))


def test_error_by_lead_takes_another_score(story):
    (axis,) = charts.error_by_lead(story, "RMSE").axes
    np.testing.assert_allclose(line(axis, "hourglass").get_ydata(), 1.2 + np.arange(1, 8) / 10)
    assert axis.get_title(loc="left") == "RMSE in °C"


def test_at_most_six_models_in_one_chart():
    story = replace(make_story(models=tuple(f"model {k}" for k in range(12))), model="model 9")
    (axis,) = charts.error_by_lead(story, look=NARROW).axes
    labels = [artist.get_label() for artist in axis.lines]
    assert labels == ["model 9", "model 0", "model 1", "model 2", "model 3", "model 4"]


def test_labels_of_lines_that_end_together_stay_apart():
    story = make_story()
    story = replace(story, by_lead=story.by_lead.assign(MAE=2.0))
    figure = charts.error_by_lead(story)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 4
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert all(below[1] <= above[0] + 3 for below, above in pairwise(tops))


SPREADS = {
    "apart already": ([1.0, 3.0], [1.0, 3.0]),
    "together": ([5.0, 5.0], [4.5, 5.5]),
    "three": ([5.0, 5.0, 5.0], [4.0, 5.0, 6.0]),
    "at the top": ([10.0, 10.0], [9.0, 10.0]),
    "at the bottom": ([0.0, 0.0], [0.0, 1.0]),
    "out of order": ([5.0, 1.0, 5.0], [4.5, 1.0, 5.5]),
    "one": ([2.0], [2.0]),
    "none": ([], []),
}


@pytest.mark.parametrize("case", SPREADS)
def test_spread(case):
    wanted, expected = SPREADS[case]
    np.testing.assert_allclose(spread(wanted, 1.0, 0.0, 10.0), expected)


def test_skill_has_a_panel_for_each_reference(story):
    axes = charts.skill_by_lead(story).axes
    assert [axis.get_title(loc="left") for axis in axes] == ["over ridge", "over seasonal naive", "over naive"]
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), 0.12)
    assert len(axes[0].lines[0].get_ydata()) == 7


def test_worst_windows_come_in_their_order(story):
    figure = charts.worst_windows(story)
    worst = story.worst.head(6)
    for axis, row in zip(figure.axes, worst.itertuples(), strict=True):
        expected = own_window(story, row.series, row.fold)["forecast"]
        np.testing.assert_allclose(line(axis, "forecast").get_ydata()[1:], expected)
        assert f"{row.times:.1f} × mean" in axis.get_title(loc="left")


def test_calibration_holds_pooled_coverage_and_coverage_by_lead(story):
    reliability, by_lead = diagnostics.calibration(story).axes
    np.testing.assert_allclose(reliability.lines[1].get_xdata(), [0.5, 0.8, 0.9])
    np.testing.assert_allclose(reliability.lines[1].get_ydata(), [0.48, 0.78, 0.88])
    drawn = [artist.get_ydata() for artist in by_lead.lines if len(artist.get_ydata()) == 7]
    np.testing.assert_allclose([values[0] for values in drawn], [0.48, 0.78, 0.88])


def test_calibration_of_pooled_coverage_alone_has_one_panel(story):
    pooled = story.coverage[story.coverage["lead"].isna()]
    assert len(diagnostics.calibration(replace(story, coverage=pooled)).axes) == 1


def test_groups_whose_interval_leaves_the_level_out_are_marked(story):
    rows = story.conditional
    rows = rows[(rows["kind"] == "weekday") & (rows["nominal"] == 0.9)].assign(
        coverage=[0.9, 0.8, 0.9, 0.97, 0.9, 0.9, 0.9], low=[0.8, 0.7, 0.8, 0.95, 0.8, 0.8, 0.8], high=0.99
    )
    rows.loc[rows["coverage"] == 0.8, "high"] = 0.85
    (axis,) = diagnostics.conditional_coverage(replace(story, conditional=rows)).axes
    (marked,) = (artist for artist in axis.lines if artist.get_marker() == "D")
    np.testing.assert_allclose(marked.get_xdata(), [0.8, 0.97])
    assert to_hex(marked.get_color()) == ALARM
    assert [label.get_text() for label in axis.get_yticklabels()] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def test_of_many_groups_those_furthest_off_are_shown():
    shown = diagnostics.shown_groups(make_story(n_series=100))
    series = shown[shown["kind"] == "series"]
    assert series["group"].tolist() == [f"series store {k}" for k in range(88, 100)]
    assert (shown["kind"] == "weekday").sum() == 7


def test_coverage_of_another_level_on_request(story):
    figure = diagnostics.conditional_coverage(story, 0.5)
    assert {tuple(axis.lines[2].get_xdata()) for axis in figure.axes} == {(0.5, 0.5)}


def test_pit_is_relative_to_a_flat_histogram(story):
    pit = pd.DataFrame({"model": "hourglass", "low": [0.0, 0.5], "high": [0.5, 1.0], "share": [0.2, 0.8]})
    (axis,) = diagnostics.pit_histogram(replace(story, pit=pit)).axes
    np.testing.assert_allclose([bar.get_height() for bar in axis.patches], [0.4, 1.6])


def test_residual_checks_hold_autocorrelation_and_mean_error(story):
    left, right = diagnostics.residual_checks(story).axes
    np.testing.assert_allclose(
        [path.vertices[1, 1] for path in left.collections[0].get_paths()], 0.5 ** np.arange(1, 9)
    )
    own = story.forecasts[story.forecasts["model"] == "hourglass"]
    expected = (own["forecast"] - own["actual"]).groupby(own["origin"]).mean()
    np.testing.assert_allclose(right.lines[1].get_ydata(), expected)


def test_explanation_draws_what_the_story_explains(story):
    assert list(diagnostics.explanation_charts(story)) == ["levels", "covariates", "attention"]
    assert diagnostics.explanation_charts(replace(story, explanation={})) == {}
    (axis,) = diagnostics.explanation_charts(story)["covariates"].axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["price (known)", "wind (past)"]
    np.testing.assert_allclose([bar.get_width() for bar in axis.patches], [0.1, 0.0])


def test_dollar_signs_are_not_mathematics():
    figure = charts.fan_chart(replace(make_story(), unit="$ and $"))
    figure.draw_without_rendering()
    assert not figure.axes[0].title.get_parse_math()


def test_pyplot_stays_out(story):
    import sys

    charts.fan_chart(story)
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
