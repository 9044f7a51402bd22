"""The page holds everything, asks for nothing, and lets no name break it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError, MissingExtraError, SettingsError
from hourglass_ts.report import style
from hourglass_ts.report.page import render, write_page
from hourglass_ts.report.parts import Section
from hourglass_ts.report.story import Story
from tests.report.stories import empty_story, make_story

SECTIONS = [
    "Forecasts", "Scores", "Skill", "Error by lead", "Calibration", "Coverage within groups",
    "Probability integral transform", "Stability", "Residuals", "Worst windows", "Explanation", "Leakage audit",
    "Data", "Costs", "Settings and versions",
]  # fmt: skip
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Reader(HTMLParser):
    """Reads a page strictly: every tag closed in turn; keeps ids, references, headings and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.refs: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[tuple[str, str]] = []

    def handle_starttag(self, tag, attrs):
        self.keep(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.keep(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.words.append((self.open[-1] if self.open else "", data.strip()))

    def keep(self, tag, attrs):
        found = dict(attrs)
        assert len(found) == len(attrs), f"an attribute twice in <{tag}>"
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.refs += [found["href"]] if "href" in found else []
        self.refs += re.findall(r"url\((#[^)]*)\)", " ".join(str(value) for value in found.values()))

    def texts(self, tag):
        return [text for own, text in self.words if own == tag]


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def html():
    return render(make_story(n_series=3))


@pytest.fixture(scope="module")
def page(html):
    return read(html)


def test_the_reader_sees_an_unbalanced_page():
    with pytest.raises(AssertionError):
        read("<p><b>bold</p></b>")
    with pytest.raises(AssertionError):
        read("<div><p>open</p>")


def test_sections_come_in_reading_order(page):
    assert page.texts("h1") == ["Sales of the next week"]
    assert page.texts("h2") == SECTIONS
    assert page.texts("nav") == []
    assert [ref for ref in page.refs if ref[1:] in page.ids and "-wide" not in ref and "-narrow" not in ref][:15] == [
        f"#{tag['id']}" for name, tag in page.tags if name == "section"
    ]


def test_the_headline_comes_first(page):
    text = [words for _, words in page.words]
    order = [
        "Better than seasonal naive by 12 % ± 3; no better than ridge beyond day 5.",
        "The 80 % interval held in 79 % of the cases.",
        "Forecasts",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_what_the_story_says_is_on_the_page(page):
    text = " ".join(words for _, words in page.words)
    for words in (
        "naive has no quantiles: no CRPS.",
        "Column 'y': 3 values missing.",
        "1 of 2 checks passed",
        "1 min 15 s",
    ):
        assert words in text


def test_nothing_is_asked_for_from_outside(html):
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)|src=", re.sub(r'xmlns(:\w+)?="[^"]*"', "", html))


def test_ids_are_unique_and_references_lead_somewhere(page):
    assert len(page.ids) == len(set(page.ids))
    assert {ref.removeprefix("#") for ref in page.refs} <= set(page.ids)


def test_every_drawing_has_a_name_and_no_fixed_colour(page):
    drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(drawings) == 2 * 13
    assert all(attrs["role"] == "img" and len(attrs["aria-label"]) > 20 for attrs in drawings)
    inside = [attrs.get("style", "") for tag, attrs in page.tags if tag in {"path", "text", "use", "g"}]
    assert sum("var(--" in value for value in inside) > 100
    assert [value for value in inside if re.search(r"#[0-9a-f]{3,6}\b(?!-)", value)] == []


def test_text_in_drawings_stays_text(page):
    assert "lead, in steps" in page.texts("text")


def test_the_numbers_behind_the_main_charts_are_there(page):
    assert page.texts("summary").count("The numbers") >= 4
    headings = page.texts("th")
    assert "MAE, ridge" in headings
    assert "RMSE, ridge" in headings


def test_one_small_script_and_no_other(page):
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert len("".join(page.texts("script"))) < 1000


@pytest.fixture(scope="module")
def hostile():
    evil = '<script>alert("x")</script>'
    story = make_story(n_series=2, names=[evil, '" id="theme" #0072b2 $x_1$ \\frac --> &amp; ]]>'])
    names = {"hourglass": evil, "ridge": "r&d <b>", "naive": "$a$", "seasonal naive": "ünï 日本 👍"}
    frames = {
        key: getattr(story, key).assign(model=getattr(story, key)["model"].map(names))
        for key in ("forecasts", "scores", "by_lead", "coverage", "conditional", "pit", "revisions", "costs")
    }
    frames["scores"] = frames["scores"].rename(columns={"CRPS": evil})
    covariates = story.explanation["covariates"].assign(covariate=[evil, "x"])
    return replace(
        story,
        **frames,
        title=evil,
        headline=evil,
        remarks=(evil,),
        model=evil,
        unit="</text><script>",
        skill=story.skill.assign(reference=story.skill["reference"].map(names)),
        score_notes=(evil,),
        notes=(evil,),
        settings={evil: evil},
        versions={evil: evil},
        explanation={"covariates": covariates},
        audit=pd.DataFrame({"check": [evil], "passed": [True], "detail": [evil]}),
    )


def test_names_are_shown_and_never_obeyed(hostile):
    page = read(render(hostile))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert [tag for tag, _ in page.tags if tag == "b"] == []
    assert page.ids.count("theme") == 1
    assert page.texts("h1") == ['<script>alert("x")</script>']
    ticks = page.texts("text")
    assert any(text.startswith('" id="theme" #0072b2 $x_') for text in ticks)
    assert {"r&d <b>", "$a$", "ünï 日本 👍"} <= set(ticks)


def test_equal_stories_give_the_same_bytes_whatever_the_users_style(html):
    import matplotlib

    own = {
        "font.size": 30,
        "axes.facecolor": "black",
        "svg.fonttype": "path",
        "axes.linewidth": 4,
        "xtick.major.pad": 12,
    }
    with matplotlib.rc_context(own):
        assert render(make_story(n_series=3)) == html
        assert matplotlib.rcParams["font.size"] == 30


def test_large_backtests_make_small_pages():
    assert len(render(make_story(n_series=100, folds=50)).encode()) < 3_000_000 / 3


def test_an_empty_story_says_what_is_missing():
    page = read(render(empty_story()))
    assert page.texts("h2") == [name for name in SECTIONS if name != "Explanation"]
    missing = [tag for tag, attrs in page.tags if attrs.get("class") == "missing"]
    assert len(missing) == len(page.texts("h2"))
    assert [tag for tag, _ in page.tags if tag in {"svg", "table", "figure"}] == []


def test_optional_sections_are_left_out():
    page = read(render(replace(empty_story(), audit=None)))
    assert page.texts("h2") == [name for name in SECTIONS if name not in {"Explanation", "Leakage audit"}]


# shape of the story → how many sections have nothing to show: one model has no reference
CASES = {
    "one series, lead, fold and model": ({"folds": 1, "horizon": 1, "models": ("hourglass",)}, 1),
    "many models, integer times": ({"models": tuple(f"model {k}" for k in range(12)), "integer": True}, 0),
    "a long horizon over a change to summer time": (
        {"tz": "Europe/Berlin", "freq": "h", "horizon": 1500, "folds": 2},
        0,
    ),
    "long names, months": ({"n_series": 2, "names": ["a long name " * 20, "another\nlong " * 9], "freq": "MS"}, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_every_shape_of_story_makes_a_page(case):
    shape, n_missing = CASES[case]
    page = read(render(make_story(**shape)))
    missing = [tag for tag, attrs in page.tags if attrs.get("class") == "missing"]
    assert len(missing) == n_missing
    assert "nan" not in " ".join(page.texts("td") + page.texts("text"))


def test_values_that_are_not_there_make_no_number():
    story = make_story()
    rng = np.random.default_rng(1)

    def with_holes(frame, share=0.5):
        numbers = [
            name for name in frame.select_dtypes("number").columns if name not in {"fold", "lead", "lag", "nominal"}
        ]
        return frame.assign(**{name: frame[name].where(rng.random(len(frame)) > share) for name in numbers})

    names = ("forecasts", "history", "scores", "skill", "by_lead", "coverage", "revisions", "residuals", "costs")
    page = read(render(replace(story, **{name: with_holes(getattr(story, name)) for name in names})))
    assert "–" in page.texts("td")
    assert not re.search(r"\bnan\b", " ".join(page.texts("td") + page.texts("text")))


def test_all_values_missing_makes_a_page():
    story = make_story()
    blank = {name: frame.assign(**dict.fromkeys(columns, np.nan)) for name, frame, columns in [
        ("by_lead", story.by_lead, ["MAE", "RMSE"]),
        ("skill", story.skill, ["skill", "low", "high"]),
        ("coverage", story.coverage, ["coverage", "low", "high"]),
        ("forecasts", story.forecasts, ["actual"]),
        ("history", story.history, ["actual"]),
    ]}  # fmt: skip
    page = render(replace(empty_story(), **blank))
    assert "There are no errors by lead." in page
    read(page)


def contrast(one, other):
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_lines_can_be_told_from_the_page(theme):
    surface = style.ROLES["surface"][theme]
    least = dict.fromkeys(("ink", "history", "quiet", "focus", "alarm"), 4.5) | {"actual": 3.0, "muted": 3.0}
    weak = {role: contrast(style.ROLES[role][theme], surface) for role in least}
    assert {role: ratio for role, ratio in weak.items() if ratio < least[role]} == {}


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_a_page_is_written_whole(tmp_path):
    path = write_page(empty_story(), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8").endswith("</html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"no folder '.*absent'"):
        write_page(empty_story(), tmp_path / "absent" / "report.html")


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"hourglass_ts\[plot\]"):
        render(make_story(folds=1))


def test_every_missing_column_is_named_at_once():
    story = make_story()
    with pytest.raises(DataError, match=r"(?s)'MAE'.*by_lead.*'nominal'.*coverage.*'weight'.*attention"):
        replace(
            story,
            by_lead=story.by_lead.drop(columns="MAE"),
            coverage=story.coverage.drop(columns="nominal"),
            explanation={"attention": story.explanation["attention"].drop(columns="weight")},
        )


def test_an_unknown_explanation_is_refused():
    with pytest.raises(DataError, match="'gradients'"):
        replace(make_story(), explanation={"gradients": pd.DataFrame()})


def test_models_begin_with_the_one_the_story_is_about():
    story = replace(make_story(), model="ridge")
    assert isinstance(story, Story)
    assert story.models == ["ridge", "hourglass", "seasonal naive", "naive"]


def test_sections_of_ones_own_come_first(tmp_path):
    own = (Section("a", "First of all", "Text & more"), Section("b", "Then this", missing="There is none."))
    page = write_page(make_story(), tmp_path / "page.html", own).read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    headings = [text for tag, text in reader.words if tag == "h2"]
    assert headings == ["First of all", "Then this", *SECTIONS]
    assert "Text &amp; more" in page
    assert "There is none." in page
