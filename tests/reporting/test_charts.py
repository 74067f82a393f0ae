import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from lo2dask.reporting.charts import (
    bar_svg,
    coverage_svg,
    histogram_svg,
    precision_recall_svg,
    roc_svg,
    track_svg,
)
from lo2dask.reporting.data import Coverage, Mark, Track
from lo2dask.reporting.scores import Scores, read_scores
from reporting.hostile import ALL
from reporting.test_scores import scattered, write


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


TRACK = Track("token", np.array([12.0, 0.0, 3.0]), np.array([1.0, 0.0, 0.0]), (Mark(0.99, 0.3, "a silence"),))


@pytest.fixture
def scores(tmp_path) -> Scores:
    return read_scores(write(tmp_path, *scattered(400)))


def test_bars_and_curves_stay_within_the_picture(scores):
    for svg in (
        histogram_svg(scores.histogram, "Scores", 0.5),
        roc_svg(scores.curves, 0.75, "ROC"),
        precision_recall_svg(scores.curves, None, "Precision"),
        track_svg(TRACK),
        bar_svg(-2.0, 1.0, "a feature"),
    ):
        root = parse(svg)
        _, _, width, height = map(float, root.get("viewBox").split())
        for bar in root.iter("rect"):
            assert float(bar.get("x")) + float(bar.get("width")) <= width
            assert float(bar.get("y")) + float(bar.get("height")) <= height
        for line in root.iter("polyline"):
            points = np.array([pair.split(",") for pair in line.get("points").split()], dtype=float)
            assert (points >= 0).all()
            assert (points <= [width, height]).all()


def test_a_picture_tells_what_it_shows_without_being_seen(scores):
    root = parse(roc_svg(scores.curves, 0.75, "ROC of m"))
    assert root.get("role") == "img"
    assert root.find("title").text == "ROC of m"
    assert "area 0.750" in root.find("desc").text


def test_bars_of_each_class_add_up_to_the_whole(scores):
    root = parse(histogram_svg(scores.histogram, "Scores"))
    bars = list(root.iter("rect"))
    sums = [sum(float(b.get("height")) for b in bars if b.get("class") == name) for name in ("normal", "anomaly")]
    assert abs(sums[0] - sums[1]) < 2  # both are shares of one


def test_the_threshold_stands_in_the_picture_where_it_lies_within(scores):
    lines = [e for e in parse(histogram_svg(scores.histogram, "Scores", 0.5)).iter("line")]
    assert [line.get("class") for line in lines] == ["axis", "threshold"]
    assert "threshold" not in histogram_svg(scores.histogram, "Scores", 1e9)


def test_a_track_says_its_rate_and_its_marks():
    root = parse(track_svg(TRACK))
    assert root.find("title").text == "token: up to 12 lines a second, 1 windows marked"
    assert [mark.find("title").text for mark in root.iter("rect")] == ["a silence"]


def test_coverage_has_a_cell_for_each_run_and_case_with_its_figures():
    data = Coverage(("r1", "r2"), ("correct", "err"), np.array([[7, 0], [3, 7]]), np.full((2, 2), 7))
    cells = [(c.get("class"), c.find("title").text) for c in parse(coverage_svg(data, "Coverage")).iter("rect")]
    assert ("level4", "r1, correct: 7 of 7 logs") in cells
    assert ("level0", "r1, err: 0 of 7 logs") in cells
    assert ("level2", "r2, correct: 3 of 7 logs") in cells
    assert len(cells) == 4


@pytest.mark.parametrize("text", ALL)
def test_names_are_escaped(text):
    data = Coverage((text,), (text,), np.array([[1]]), np.array([[1]]))
    track = Track(text, np.ones(2), np.zeros(2), (Mark(0.0, 0.1, text),))
    assert {element.tag for element in parse(track_svg(track)).iter()} == {"svg", "title", "path", "rect"}
    root = parse(coverage_svg(data, text.replace("\x1b", "").replace("\x07", "")))
    assert {element.tag for element in root.iter()} == {"svg", "title", "desc", "text", "rect"}
