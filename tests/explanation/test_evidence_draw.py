import logging
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from explanation.made_root import LAST_RUN, make_root
from lo2dask.commands.explain import explain
from lo2dask.commands.run import explain_options
from lo2dask.execute.session import Session
from lo2dask.options import ExplainOptions, RunOptions
from lo2dask.schema import FINDINGS
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part

KEYS = ("event_kmeans_words", "event_lr_words")
LIMIT = 10
pytestmark = pytest.mark.usefixtures("no_plots")


def explained(layout: Layout, **options: object) -> dict[str, dict[str, dict]]:
    """Explain two models; return their explanations by model and seq_id."""
    explain(ExplainOptions(root=layout.root, nn_source=KEYS[0], skip_if=True, **options), Session.serial())
    tables = {key: pq.read_table(layout.explainability / f"{key}_explanations.parquet") for key in KEYS}
    return {key: {row["seq_id"]: row for row in table.to_pylist()} for key, table in tables.items()}


def states(rows: dict[str, dict[str, dict]]) -> dict[str, str]:
    return {seq_id: row["evidence"] for of_model in rows.values() for seq_id, row in of_model.items()}


def write_findings(layout: Layout, *named: tuple[str, str, str]) -> None:
    """Write findings: the test case, the service and the kind of each, all of the last run."""
    rows = [
        {"run": LAST_RUN, "test_case": case, "service": service, "kind": kind, "score": None if kind == "silent" else 5}
        for case, service, kind in named
    ]
    write_part(layout.findings / "part-000000.parquet", pa.Table.from_pylist(rows, FINDINGS), FINDINGS)


def test_the_draw_is_of_all_models_spread_and_the_same_for_any_parts(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    rows = explained(make_root(tmp_path / "two", KEYS, parts=2), evidence_limit=LIMIT, shap_sample=5)
    monkeypatch.setattr("lo2dask.explanation.merged_parts.TASK_BYTES", 1)
    again = explained(make_root(tmp_path / "five", KEYS, parts=5), evidence_limit=LIMIT, shap_sample=5)
    found = states(rows)
    assert found == states(again)
    assert f"evidence lines for {LIMIT} of {len(found)} flagged sequences (--evidence-limit)" in caplog.text
    assert "seeded sample of 5 of 72 sequences (--shap-sample)" in caplog.text
    assert Counter(found.values())["read"] == LIMIT < len(found)
    drawn = [row for row in rows["event_lr_words"].values() if row["evidence"] == "read"]
    assert {row["service"] for row in drawn} == {"token", "user"}
    assert {row["test_case"] for row in drawn} >= {"register_user_400", "get_token_400"}
    for row in (row for of_model in rows.values() for row in of_model.values()):
        assert bool(row["lines"]) <= (row["evidence"] == "read")
    assert all(row["explained"] and row["features"] for row in drawn)
    others = [row for row in rows["event_lr_words"].values() if row["evidence"] != "read"]
    assert sum(row["explained"] for row in others) <= 5


def test_findings_always_have_evidence_beside_the_limit(tmp_path):
    layout = make_root(tmp_path, KEYS, parts=2)
    write_findings(layout, ("get_token_400", "user", "error_excess"), ("register_user_400", "token", "silent"))
    found = states(explained(layout, evidence_limit=LIMIT))
    finding = f"{LAST_RUN}__get_token_400__light-oauth2-oauth2-user-1"
    assert found[finding] == "read"
    assert Counter(found.values())["read"] == LIMIT + 1
    write_findings(layout, *((case, service, "unseen") for case in ("get_token_400",) for service in ("user", "token")))
    assert Counter(states(explained(layout, evidence_limit=LIMIT)).values())["read"] == LIMIT + 2, "new findings count"


def test_no_limit_reads_all(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert set(states(explained(make_root(tmp_path, KEYS, parts=2), evidence_limit=0)).values()) == {"read"}
    assert "--evidence-limit" not in caplog.text


def test_run_explains_a_sample_unless_told_otherwise():
    assert explain_options(RunOptions(root="tree")).shap_sample == 2_000
    assert explain_options(RunOptions(root="tree", shap_sample=0)).shap_sample == 0
    assert ExplainOptions().shap_sample == 0
