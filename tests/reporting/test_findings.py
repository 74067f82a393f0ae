import json
from pathlib import Path

import numpy as np
import pytest

from lo2dask.reporting import heatmap
from lo2dask.reporting.data import Change, Finding, Nearest
from lo2dask.reporting.findings import MOST_LINES, MOST_MODELS, explain_row, name_anchors, name_error, read_findings
from lo2dask.reporting.heatmap import draw_map, read_run_scores, short_names, threshold_of
from lo2dask.reporting.templates import lift, read_differences
from lo2dask.reporting.timeline import MOST_BINS, read_timelines
from lo2dask.schema import ENHANCED, LINES, TEMPLATES, TIMELINE
from lo2dask.storage import write_text
from lo2dask.tables.layout import Layout
from lo2dask.training.units import measures_path
from reporting.made_tables import SECOND, START, finding, lines, timeline, write_findings, write_rows

FLAGGED = [("run_2", "bad_1"), ("run_2", "bad_2"), ("run_3", "bad_1")]
NORMALS = [("run_1", "correct"), ("run_2", "correct")]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    write_findings(made, FLAGGED, NORMALS, "said so")
    return made


def test_a_case_is_one_item_with_its_reason_in_words(layout):
    found = read_findings(layout, read_run_scores(layout), ())
    assert found.headline == "3 of 5 cases stand out (excess, 2 normal cases to compare with)"
    assert [item.anchor for item in found.items] == ["run_2/bad_1", "run_2/bad_2", "run_3/bad_1"]
    first = found.items[0]
    assert first.why == "user has an error line 33 times; no normal log of it has it more than 2 times"
    assert first.time == "16:41:07–16:41:19"
    assert first.error_type == "ERR12010"
    assert first.facts.startswith("score 30 (stands out above 3), 11 ahead of the next service, p = 0.1")
    assert (found.notices[0].text, found.notices[0].line) == ("no line of token, which normal runs have", None)
    assert found.items[2].absent.startswith("There is no line to show: what speaks here")


def test_an_error_is_named_by_the_first_code_around_it(layout):
    row = {"service": "user", "kind": "unseen", "statement": "DEBUG validate()", "evidence": []}
    near = Nearest(
        "run_1", "correct", 0.1, (Change("key", "e1", "ERR1", 1, 0), Change("user", "e2", "ERR12011", 1, 0)), (), ()
    )
    assert name_error(row, None) == "new lines"
    assert name_error(row, near) == "ERR12011"
    assert (
        name_error(row | {"evidence": [{"text": "java.lang.NullPointerException: x"}]}, near) == "NullPointerException"
    )


def test_lines_are_the_best_ones_in_order(layout):
    item = read_findings(layout, None, ()).items[0]
    assert [line.line_no for line in item.lines] == [8, 7, 6, 5, 4][:MOST_LINES]


def test_lines_of_one_statement_are_one_and_those_of_the_finding_are_its_evidence(layout):
    rows = lines(FLAGGED[0], "x")
    statements = [finding(FLAGGED[0], 0, "said so")["statement"], *["s"] * 4, *["t"] * 3]
    write_rows(layout.lines, [row | {"statement": s} for row, s in zip(rows, statements, strict=True)], LINES)
    item = read_findings(layout, None, ()).items[0]
    assert [(line.line_no, line.why) for line in item.lines] == [(8, "score 8, 3 alike"), (5, "score 5, 4 alike")]


def test_no_more_than_the_first_are_shown_and_all_are_counted(layout, monkeypatch):
    monkeypatch.setattr("lo2dask.reporting.findings.MOST", 2)
    found = read_findings(layout, None, ())
    assert (len(found.items), found.total) == (2, 3)
    assert [item.number for item in found.items] == [1, 2]


def test_words_for_each_kind():
    row = {"service": "token", "kind": "unseen", "count": 3, "normal_max": None}
    assert explain_row(row) == "token has a line 3 times that no normal log of it has"
    assert "at" not in explain_row(row | {"kind": "error_excess", "count": 1, "normal_max": 0}).split("that")[0].split()
    assert explain_row(row | {"kind": "error_excess", "normal_max": 1}).endswith(
        "no normal log of it has it more than once"
    )
    few = explain_row(row | {"kind": "error_excess", "normal_max": 1}, labelled=False)
    assert few.endswith("few other logs of it have it more than once")
    lack = {"kind": "lack", "count": 0, "rate": 0.0, "normal_rate": 12.5}
    assert (
        explain_row(row | lack) == "token has a line 0 times a minute that is there 12.5 times a minute in other logs"
    )


def test_anchors_are_readable_and_never_the_same():
    cases = [("light-1", "get_token"), ("a b", "c<d>"), ("a-b", "c-d-")]
    assert name_anchors(cases) == ["light-1/get_token", "a-b/c-d-", "a-b/c-d-~2"]


def test_a_timeline_has_its_named_service_first_and_marks_alarms_alone(layout):
    drawn = read_timelines(layout, set(FLAGGED), dict.fromkeys(FLAGGED, "user"))[FLAGGED[0]]
    assert [track.service for track in drawn.tracks] == ["user", "token"]
    assert drawn.tracks[0].rates.tolist() == [12.0] * 6
    assert np.allclose(drawn.tracks[0].errors, np.arange(6) / 10)
    assert [mark.left for mark in drawn.tracks[0].marks] == [3 / 60, 7 / 60]
    assert "lines that no normal log has, score 21.5: said so" in drawn.tracks[0].marks[0].text


def test_a_long_case_is_drawn_in_wider_bins(layout):
    rows = [row | {"start": START + 10 * step * SECOND} for row in timeline(FLAGGED[0])[:1] for step in range(500)]
    write_rows(layout.timeline, rows, TIMELINE)
    drawn = read_timelines(layout, set(FLAGGED), {})[FLAGGED[0]]
    assert len(drawn.tracks[0].rates) <= MOST_BINS
    assert np.allclose(drawn.tracks[0].rates[:-1], 12.0)


def test_the_map_links_a_cell_to_its_finding(layout):
    scores = read_run_scores(layout)
    items = read_findings(layout, scores, ()).items
    drawn = draw_map(scores, items)
    assert [row.label for row in drawn.rows] == ["1", "2", "3"]
    cells = {
        (row.name, service): cell for row in drawn.rows for service, cell in zip(drawn.services, row.cells, strict=True)
    }
    assert cells["run_2", "user"].anchor == "run_2/bad_1"
    assert cells["run_2", "user"].ratio == 10.0
    assert cells["run_2", "token"].anchor == ""
    assert cells["run_2", "token"].ratio < 1


def test_many_runs_share_rows(layout, monkeypatch):
    monkeypatch.setattr(heatmap, "MOST_ROWS", 2)
    drawn = draw_map(read_run_scores(layout), [])
    assert [row.label for row in drawn.rows] == ["1 – 2", "3"]
    assert drawn.runs == 3


def test_the_threshold_is_the_model_s_own():
    assert threshold_of({}) == 3.0
    assert threshold_of({"runs_calibration": {"threshold": 4}}) == 4.0


def test_short_names_keep_what_tells_runs_apart():
    assert short_names(["light-oauth2-data-171", "light-oauth2-data-172"])["light-oauth2-data-171"] == "171"
    assert short_names(["only"]) == {"only": "only"}


def test_templates_are_counted_by_sequence_and_label_over_all_parts(tmp_path):
    layout = Layout(tmp_path)
    bag = lambda *names: [{"token": name, "count": 7} for name in names]  # noqa: E731
    rows = [
        *({"anomaly": False, "e_templates": bag("e1", "e2")} for _ in range(4)),
        {"anomaly": True, "e_templates": bag("e1", "e3")},
        {"anomaly": True, "e_templates": bag("e1", "e3")},
    ]
    for index, part in enumerate((rows[:3], rows[3:])):
        write_rows(layout.enhanced / str(index), part, ENHANCED)
        (layout.enhanced / str(index) / "part-000000.parquet").rename(layout.enhanced / f"part-{index:06d}.parquet")
        (layout.enhanced / str(index)).rmdir()
    write_rows(layout.templates, [{"e_event_drain_id": "e3", "template": "failed <NUM>"}], TEMPLATES)
    found = read_differences(layout)
    assert [(row.template_id, row.template, row.normal, row.anomalous) for row in found.more] == [
        ("e3", "failed <NUM>", 0, 2)
    ]
    assert [row.template_id for row in found.less] == ["e2", "e1"]
    assert found.more[0].lift == lift((0, 2), (4, 2)) == (2.5 / 3) / (0.5 / 5)


def test_one_label_alone_has_no_differences(tmp_path):
    layout = Layout(tmp_path)
    assert "--phase enhancers" in read_differences(layout)
    write_rows(layout.enhanced, [{"anomaly": False, "e_templates": []}], ENHANCED)
    assert read_differences(layout) == "Nothing to compare: no sequence is anomalous."


def test_the_verdicts_of_the_models_stand_at_the_head(layout):
    models = [f"lr_{number}" for number in range(MOST_MODELS + 2)]
    assert read_findings(layout, None, models).trust.endswith("(chance .60).")
    for model in ("excess", *models):
        verdict = "better than every simple baseline by .31 [.12, .46]" if model == "excess" else "too few runs to tell"
        write_text(measures_path(layout.measures, model), json.dumps({"trust": {"verdict": verdict}}))
    assert read_findings(layout, None, models).trust.endswith(
        "(chance .60). excess: better than every simple baseline by .31 [.12, .46]. "
        "lr_0, lr_1, lr_2, lr_3, lr_4, lr_5 and 2 more: too few runs to tell."
    )


def test_nothing_that_stands_out_is_said(layout):
    write_findings(layout, [], NORMALS, "")
    found = read_findings(layout, read_run_scores(layout), ())
    assert found.headline == "None of 2 runs stands out (excess, 2 normal runs to compare with)"
    assert found.items == ()


def test_an_item_needs_no_more_than_its_finding():
    assert Finding("a", 1, "r", "c", "s", "", "", "why", "").nearest is None
