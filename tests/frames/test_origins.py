"""What a panel shows from an origin is what `check_frame` makes of the rows up to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.frames.origins import View, on_clock, panel_times, row_times, seen_from, unit_bounds, view_from
from hourglass_ts.frames.schema import OBSERVED, STEP, TIME, UNIT, VALUE, Panel, Roles, check_frame, future_rows
from tests.reference.worlds import HORIZON, N_STEPS, ORIGIN_STEPS, WORLDS, World

CASES = [(name, step) for name in WORLDS for step in (*ORIGIN_STEPS, 13, N_STEPS - 1)]


def whole(world: World) -> Panel:
    return check_frame(world.df, world.checked_roles, world.freq)


def view(world: World, step: int, start: Any = None, given_known: bool = True) -> View:
    panel = whole(world)
    among = np.ones(len(panel.keys), dtype=bool)
    return view_from(panel, world.axis[step], HORIZON, among=among, given_known=given_known, start=start)


def assert_same_panel(found: Panel, expected: Panel) -> None:
    pd.testing.assert_frame_equal(found.table, expected.table, check_exact=True)
    pd.testing.assert_frame_equal(found.keys, expected.keys)
    assert found.calendars == expected.calendars
    assert (found.roles, found.features) == (expected.roles, expected.features)


@pytest.mark.parametrize(("name", "step"), CASES)
def test_the_past_is_the_cut_frame_checked(name: str, step: int) -> None:
    world = WORLDS[name]
    cut = check_frame(world.up_to(world.axis[step]), whole(world).roles, world.freq)
    assert_same_panel(view(world, step).past(), cut)


@pytest.mark.parametrize(("name", "step"), CASES)
@pytest.mark.parametrize("back", [0, 4, 20])
def test_with_a_start_it_is_the_frame_cut_on_both_sides(name: str, step: int, back: int) -> None:
    world = WORLDS[name]
    start = world.axis[max(step - back, 0)]
    rows = world.up_to(world.axis[step], start)
    targets = list(whole(world).roles.target)
    if "id" in rows:  # a series without a value in view is not in it
        rows = rows[rows.groupby("id", observed=True)[targets[0]].transform("count") > 0]
    found = view(world, step, start)
    if not rows[targets].notna().any(axis=None):
        assert len(found.units) == 0
        return
    seen = [label for label in targets if rows[label].notna().any()]
    if name == "wide" and seen != targets:  # a column of NaN cannot be checked alone
        assert found.past().keys["target"].tolist() == seen
        return
    if name == "several targets" and back == 0 and step == 72:  # one target of one series has no value on that day
        assert found.past().keys.to_numpy().tolist() == [[3, "z"], [3, "y"], [7, "y"]]
        return
    assert_same_panel(found.past(), check_frame(rows, whole(world).roles, world.freq))


@pytest.mark.parametrize(("name", "step"), CASES)
def test_the_future_is_that_of_the_cut_frame(name: str, step: int) -> None:
    world = WORLDS[name]
    found = view(world, step, given_known=False)
    if not len(found.units):
        assert name == "covariates"
        return
    rows = world.up_to(world.axis[step])
    if "known" in world.roles:
        rows = rows[rows["id"].isin(found.past().keys["id"])]
    cut = check_frame(rows, whole(world).roles, world.freq)
    expected = future_rows(cut, HORIZON, **world.known_after(world.axis[step - 3]))
    pd.testing.assert_frame_equal(found.future(HORIZON), expected, check_exact=True)
    given = world.known_after(world.axis[step - 3])
    if given:
        other = given["known"].assign(price=lambda known: known["price"] + 1)
        pd.testing.assert_frame_equal(found.future(HORIZON, other), future_rows(cut, HORIZON, other), check_exact=True)


@pytest.mark.parametrize(
    ("step", "units"),
    [(79, ["a", "b"]), (80, ["a"]), (86, ["a"]), (87, [])],
    ids=["three left", "two left in b", "b ended, three left in a", "two left"],
)
def test_units_whose_known_values_end_are_left_out(step: int, units: list[str]) -> None:
    world = WORLDS["covariates"]
    assert view(world, step, given_known=False).past().keys["id"].tolist() == units
    assert view(world, step, given_known=True).past().keys["id"].tolist() == ["a", "b"]


def test_units_that_had_not_begun_or_are_not_wanted_are_left_out() -> None:
    world = WORLDS["holes, late and early"]
    panel = whole(world)
    for step, ids in ((29, ["a", "c"]), (30, ["a", "b", "c"]), (69, ["a", "b", "c"]), (70, ["a", "b", "c", "d"])):
        assert view(world, step).past().keys["id"].tolist() == ids
    among = panel.keys["id"].isin(["b", "d"]).to_numpy()
    some = view_from(panel, world.axis[80], HORIZON, among=among, given_known=False)
    assert some.past().keys["id"].tolist() == ["b", "d"]
    assert len(view_from(panel, world.axis[0] - pd.Timedelta("1D"), 3, among=among, given_known=False).units) == 0


def test_an_origin_between_two_times_is_like_the_earlier_one() -> None:
    world = WORLDS["hours into summer time"]
    panel = whole(world)
    later = world.axis[72] + pd.Timedelta("59min")
    found = view_from(panel, later, HORIZON, among=np.array([True]), given_known=False)
    assert_same_panel(found.past(), view(world, 72).past())


def test_what_a_view_says_of_itself() -> None:
    world = WORLDS["holes, late and early"]
    panel = whole(world)

    def of(step: int, start: Any = None) -> View:
        among = (panel.keys["id"] == "a").to_numpy()
        return view_from(panel, world.axis[step], HORIZON, among=among, given_known=False, start=start)

    assert of(80).is_whole
    assert of(80, world.axis[0]).is_whole
    assert not of(80, world.axis[1]).is_whole
    assert of(86).goes_on(3)
    assert not of(87).goes_on(3)
    assert of(72).ends.tolist() == [70]  # 71 and 72 are holes


def test_what_lies_after_the_last_of_some_views_is_blotted_out() -> None:
    world = WORLDS["holes, late and early"]
    panel = whole(world)
    among = panel.keys["id"].isin([*"abc"]).to_numpy()
    views = [view_from(panel, world.axis[step], 3, among=among, given_known=False) for step in (80, 69)]
    found = seen_from(views)
    late = (panel.table[TIME] > world.axis[80]) | (panel.table[UNIT] == 3)
    late[panel.table.index[panel.table[UNIT] == 3][0]] = False  # d is in no view: its first value remains
    assert late.sum() > 20
    expected = panel.table.assign(**{VALUE: panel.table[VALUE].mask(late), OBSERVED: panel.table[OBSERVED] & ~late})
    pd.testing.assert_frame_equal(found.table, expected)


def test_times_and_bounds_of_a_panel() -> None:
    df = pd.DataFrame({"id": [*"aaabb"], "t": [4, 2, 8, 4, 7], "y": [1.0, 2.0, 3.0, 4.0, 5.0]})
    panel = check_frame(df, Roles.from_arguments("t", "y", "id"), 1)
    assert panel_times(panel).tolist() == [2, 3, 4, 5, 6, 7, 8]
    first, last = unit_bounds(panel)
    assert (first.tolist(), last.tolist()) == ([0, 7], [6, 10])


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-02", "2024-01-01"],
        pd.to_datetime(["2024-01-02", "2024-01-01"]),
        pd.PeriodIndex(["2024-01-02", "2024-01-01"], freq="D"),
    ],
    ids=["text", "datetimes", "periods"],
)
def test_row_times_are_the_panels_and_in_the_frames_order(times: Any) -> None:
    df = pd.DataFrame({"t": times, "y": [1.0, 2.0]})
    found = row_times(df, Roles.from_arguments("t", "y"))
    assert found.tolist() == [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-01")]
    assert found.dtype == panel_times(check_frame(df, Roles.from_arguments("t", "y"))).dtype


def test_the_panel_itself_is_left_alone() -> None:
    panel = whole(WORLDS["holes, late and early"])
    before = panel.table.copy(deep=True)
    past = view_from(panel, panel.table[TIME].iloc[50], 3, among=np.ones(4, dtype=bool), given_known=False).past()
    past.table[VALUE] = 0.0
    past.table[[UNIT, STEP]] += 1
    past.table[OBSERVED] = False
    pd.testing.assert_frame_equal(panel.table, before)


def test_a_time_without_a_zone_is_read_on_the_clock_of_the_axis():
    berlin = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin")
    assert on_clock("2024-10-26 12:00", berlin) == berlin[12]
    assert on_clock(pd.Timestamp("2024-10-26 10:00", tz="UTC"), berlin) == berlin[12]
    twice = on_clock(pd.Timestamp("2024-10-27 02:30"), berlin)
    assert twice == pd.Timestamp("2024-10-27 01:30", tz="UTC")  # the later one
    skipped = on_clock(pd.Timestamp("2024-03-31 02:30"), pd.DatetimeIndex([], tz="Europe/Berlin"))
    assert pd.Timestamp("2024-03-31 00:59", tz="UTC") < skipped < pd.Timestamp("2024-03-31 01:00", tz="UTC")


@pytest.mark.parametrize("times", [pd.date_range("2024-01-01", periods=2), pd.Index([1, 2])], ids=["naive", "numbers"])
def test_other_axes_take_times_as_they_are(times):
    for moment in (5, "2024-01-01", pd.Timestamp("2024-01-01", tz="UTC")):
        assert on_clock(moment, times) is moment
