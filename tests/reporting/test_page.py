import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lo2dask.buffers.visible import visible
from lo2dask.reporting.data import (
    Cell,
    Change,
    Confusion,
    Coverage,
    Curves,
    FileLine,
    Finding,
    Findings,
    HeatMap,
    HeatRow,
    Histogram,
    Line,
    Mark,
    ModelReport,
    Nearest,
    Notice,
    Opinion,
    ReportData,
    TemplateDifferences,
    TemplateRow,
    Timeline,
    Track,
)
from lo2dask.reporting.markdown import escape_markdown, render_markdown
from lo2dask.reporting.page import heat_figure, render_page
from reporting.hostile import ALL, EVERYTHING


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


def made_finding(text: str) -> Finding:
    line, change = Line(text, 7, "16:40:12", text, text), Change(text, text, text, 5, 0)
    return Finding(
        anchor="run/case",
        number=1,
        run=text,
        test_case=text,
        service=text,
        time=text,
        error_type=text,
        why=text,
        facts=text,
        statement=text,
        template_id=text,
        evidence=(line,),
        lines=(line,),
        timeline=Timeline(text, text, (Track(text, np.ones(3), np.zeros(3), (Mark(0.1, 0.1, text),)),), 2),
        nearest=Nearest(text, text, 0.25, (change,), (), (change,), 3),
        opinions=(Opinion(text, text, (line,)), Opinion(text, text, note=text)),
    )


def made_model(text: str) -> ModelReport:
    line, counts = np.array([0.0, 1.0]), np.array([[3]])
    return ModelReport(
        key="event_lr_words",
        measures={"holdout": {"f1": 0.5, "auc_roc": 0.75, "reason": text}},
        fit={"rows": 10, "features": 5, "reason": text},
        rows=300,
        flagged=90,
        threshold=0.7,
        histogram=Histogram(np.array([0.0, 0.5, 1.0]), np.array([5, 1]), np.array([1, 4])),
        curves=Curves("hold-out", (line, line), (line, line)),
        confusion=Confusion("hold-out", (text,), (text,), counts, counts),
        note=text,
        features=((0.5, -0.25, text),),
    )


def made_data(text: str = "word") -> ReportData:
    """A report with one model and one finding in which every free text is ``text``."""
    row = TemplateRow(text, text, 1, 2, 2.0)
    cells = (Cell(4.7, text, "run/case"), Cell(0.98, text), Cell(None, text))
    return ReportData(
        root=text,
        findings=Findings(
            text, (made_finding(text),), 90, (Notice(text, text, text, Line(text, 1, "", text)),), 60, text, (text,)
        ),
        heat=HeatMap((text, "b", "c"), (HeatRow(text, text, cells),), 9, 3.0),
        templates=TemplateDifferences(5, 6, (row,), (row,)),
        flow=(("Raw tree", text),),
        read=((text, text),),
        rejects=((text, text, "3"),),
        ignored=((text, "2"),),
        coverage=Coverage((text,), ("correct", text), np.array([[7, 3]]), np.array([[7, 7]])),
        models=(made_model(text),),
        files=(FileLine(text, text, False, text),),
        parameters=((text, text),),
        versions=(("python", "3"),),
        remarks=(text,),
    )


def test_page_has_all_sections_and_nothing_from_outside():
    page = render_page(made_data())
    parsed = Page(page)
    for section in (
        "findings",
        "map",
        "templates",
        "models",
        "model-event_lr_words",
        "data",
        "read",
        "rejects",
        "files",
    ):
        assert section in parsed.ids()
    links = [a.get("href") or a.get("src") for _, a in parsed.tags if a.get("href") or a.get("src")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert {link[1:] for link in links if link.startswith("#")} <= set(parsed.ids())
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert len(parsed.ids()) == len(set(parsed.ids()))
    policy = next(a["content"] for tag, a in parsed.tags if tag == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "'unsafe-eval'" not in policy


@pytest.mark.parametrize("text", [*ALL, EVERYTHING])
def test_log_text_is_text_wherever_it_stands(text):
    plain, hostile = Page(render_page(made_data())), Page(render_page(made_data(text)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    # A long text gets a wide cell; beyond that no attribute may come or go.
    names = [[sorted(attributes.keys() - {"class"}) for _, attributes in page.tags] for page in (plain, hostile)]
    assert names[0] == names[1]
    shown = "".join(hostile.text)
    assert visible(text) in shown
    assert "\x1b" not in shown


def test_page_is_the_same_bytes_again():
    assert render_page(made_data()) == render_page(made_data())
    assert render_markdown(made_data()) == render_markdown(made_data())


def test_findings_come_first_then_map_templates_models_and_data():
    page, document = render_page(made_data()), render_markdown(made_data())
    ids = [name for name in Page(page).ids() if name in ("run/case", "map", "templates", "models", "data")]
    assert ids == ["run/case", "map", "templates", "models", "data"]
    heads = [line for line in document.splitlines() if line.startswith("## ")]
    assert [head.split()[1] for head in heads] == ["1.", "Notices", "Runs", "Template", "Models", "What"]


def test_what_is_absent_is_said_as_absence():
    finding = replace(made_finding("word"), evidence=(), absent="nothing to show", nearest=None, timeline=None)
    data = replace(made_data(), findings=Findings("one", (finding,), 1))
    shown = "".join(Page(render_page(data)).text)
    for text in ("nothing to show", "no normal case to compare with", "No timeline of this case"):
        assert text in shown
    assert "Missing lines: only in the normal case" in "".join(Page(render_page(made_data())).text)


def test_a_figure_below_the_threshold_never_reads_as_one():
    assert [heat_figure(value) for value in (0.999, 1.0, 4.71, 123.4, None, -2.0)] == [
        "0.9",
        "1.0",
        "4.7",
        "123",
        "–",
        "0.0",
    ]


def test_an_empty_folder_still_makes_a_page():
    page = render_page(ReportData(root="out"))
    assert "No model has been trained" in page
    assert "Nothing was searched yet" in page
    assert "No sequence." in render_markdown(ReportData(root="out"))


def test_everything_that_scores_lies_within_the_pictures():
    for value in re.findall(r'(?:x|y|width|height)="(-?[\d.]+)"', render_page(made_data())):
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
