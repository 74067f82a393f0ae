import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lo2dask.buffers.visible import visible
from lo2dask.reporting.curves import confusion, curves, histogram
from lo2dask.reporting.data import Coverage, FileLine, Flagged, Line, ModelReport, ReportData
from lo2dask.reporting.html import remark, render_html
from lo2dask.reporting.markdown import escape_markdown, render_markdown
from reporting.hostile import ALL, EVERYTHING

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


class Page(HTMLParser):
    """Collects what a browser would see: tags, their attributes, and the text outside script and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        if not self.open:
            self.text.append(data)

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]


def made_data(text: str = "word") -> ReportData:
    """A report with one model and one flagged sequence in which every free text is ``text``."""
    rng = np.random.default_rng(2)
    anomaly = rng.random(300) < 0.3
    score = rng.random(300) + anomaly * 0.3
    cases, services = [text if a else "correct" for a in anomaly], ["token", text] * 150
    line = Line(text, 7, "2024-06-28 16:40:12", text, 3, "because")
    model = ModelReport(
        key="event_lr_words",
        measures={"holdout": {"f1": 0.5, "auc_roc": 0.75, "reason": text}, "leakage": {"holdout": {"warning": text}}},
        fit={"rows": 10, "features": 5, "reason": text},
        rows=300,
        flagged=90,
        histogram=histogram(score, anomaly),
        curves=curves(score, anomaly, "hold-out"),
        confusion=confusion(score > 0.7, cases, services, "hold-out"),
        plots=(PNG, PNG),
        note=text,
        features=(("0.5", "-0.25", text),),
    )
    flagged = Flagged(
        "event_lr_words", text, text, text, text, True, "train", 0.9, 1, ((0.5, 1.0, text),), (line,), text, 0.5,
        (line,), (text,), (text,),
    )  # fmt: skip
    return ReportData(
        root=text,
        flow=(("Raw tree", text),),
        read=((text, text),),
        rejects=((text, text, "3"),),
        ignored=((text, "2"),),
        coverage=Coverage((text,), ("correct", text), np.array([[7, 3]]), np.array([[7, 7]])),
        models=(model,),
        flagged=(flagged,),
        flagged_total=90,
        files=(FileLine(text, text, False, text),),
        parameters=((text, text),),
        versions=(("python", "3"),),
        remarks=(text,),
    )


def test_page_has_all_sections_and_nothing_from_outside():
    page = render_html(made_data())
    parsed = Page(page)
    for section in ("flow", "read", "coverage", "models", "model-m1", "flagged", "files", "parameters"):
        assert section in parsed.ids()
    links = [a.get("href") or a.get("src") for _, a in parsed.tags if a.get("href") or a.get("src")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert len(parsed.ids()) == len(set(parsed.ids()))
    policy = next(a["content"] for tag, a in parsed.tags if tag == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "'unsafe-eval'" not in policy


@pytest.mark.parametrize("text", [*ALL, EVERYTHING])
def test_log_text_is_text_wherever_it_stands(text):
    plain, hostile = Page(render_html(made_data())), Page(render_html(made_data(text)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    # A long text gets a wide cell; beyond that no attribute may come or go.
    names = [[sorted(attributes.keys() - {"class"}) for _, attributes in page.tags] for page in (plain, hostile)]
    assert names[0] == names[1]
    shown = "".join(hostile.text)
    assert visible(text) in shown
    assert "\x1b" not in shown


def test_page_is_the_same_bytes_again():
    assert render_html(made_data()) == render_html(made_data())
    assert render_markdown(made_data()) == render_markdown(made_data())


def test_plots_beyond_the_limit_are_named_instead(monkeypatch):
    monkeypatch.setattr("lo2dask.reporting.html.MOST_IMAGES", 10)
    page = render_html(made_data())
    assert "event_lr_words_shap_summary.png" in page
    assert "data:image/png" not in page


def test_an_empty_folder_still_makes_a_page():
    page = render_html(ReportData(root="out"))
    assert "No model has been trained" in page
    assert "No sequence." in render_markdown(ReportData(root="out"))


def test_everything_that_scores_lies_within_the_pictures():
    for value in re.findall(r'(?:x|y|width|height)="(-?[\d.]+)"', render_html(made_data())):
        assert float(value) >= 0


@pytest.mark.parametrize("text", ALL)
def test_markdown_shows_log_text_as_it_is(text):
    escaped = escape_markdown(text)
    assert not re.search(r"(?<!\\)[`*_\[\]|<>{}]", escaped.replace("&lt;", "").replace("&gt;", ""))
    assert "\x1b" not in escaped
    document = render_markdown(made_data(text))
    assert "<script" not in document
    assert "<img" not in document
    assert not re.search(r"(?<!\\)\]\(", document)
    rows = [line for line in document.splitlines() if line.startswith("| python")]
    assert rows == ["| python | 3 |"]


def test_the_remark_names_both_baselines_that_do_as_well():
    data = made_data()
    measures = {"leakage": {"holdout": {"warning": "length"}, "startup_lines": {"holdout": {"warning": "start-up"}}}}
    assert remark(replace(data.models[0], measures=measures, fit={})) == "length; start-up"
