import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explanation.made_root import make_root
from lo2dask.errors import InputError
from lo2dask.explanation.evidence_search import row_bags
from lo2dask.explanation.explanations import EXPLANATIONS, explanation_table, list_features
from lo2dask.explanation.merged_parts import Subject, deal_consecutive, deal_parts
from lo2dask.explanation.results import ColumnSums, rank_features
from lo2dask.explanation.subjects import choose_keys
from lo2dask.explanation.summary import TopFeatures
from lo2dask.explanation.tasks import feature_labels, measure_predictions
from lo2dask.features.matrix import Columns
from lo2dask.models import bundle
from lo2dask.options import ExplainOptions
from lo2dask.schema import PREDICTIONS, TEMPLATES
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part


def subject(layout: Layout, key: str, service: str = "") -> Subject:
    path = layout.models / f"{key}.joblib"
    return Subject(layout.root, key, service, path, layout.predictions / key, "linear", True, 42)


def save_columns(layout: Layout, key: str, columns: Columns | dict[str, Columns]) -> None:
    services = isinstance(columns, dict)
    plain = {name: c.to_plain() for name, c in columns.items()} if services else columns.to_plain()
    model = dict.fromkeys(columns, 1) if services else 1
    bundle.save(layout.models / f"{key}.joblib", {"model": model, "columns": plain, "per_service": services})


def test_labels_show_spaces_and_the_text_of_templates(tmp_path):
    layout = Layout(tmp_path)
    rows = [{"e_event_drain_id": "e1", "template": "DEBUG say <*>", "n_events": 1, "n_sequences": 1}]
    write_part(layout.templates / "part-000000.parquet", pa.Table.from_pylist(rows, TEMPLATES), TEMPLATES)
    save_columns(layout, "words", Columns({"words": pa.array([" a"])}))
    assert feature_labels(subject(layout, "words"), [" a", "e1"]) == ["␣a", "e1"]
    save_columns(layout, "templates", Columns({"templates": pa.array(["e1", "e2"])}))
    assert feature_labels(subject(layout, "templates"), ["e1", "e2"]) == ["e1: DEBUG say <*>", "e2"]
    save_columns(layout, "all", Columns({"words": pa.array(["w"]), "templates": pa.array(["e1"])}))
    labels = feature_labels(subject(layout, "all"), ["words:w", "templates:e1"])
    assert labels == ["words:w", "templates:e1: DEBUG say <*>"]


def test_features_of_several_services_are_ranked_together_by_name(tmp_path):
    layout = Layout(tmp_path)
    columns = {"token": Columns({"words": pa.array(["a", "b"])}), "user": Columns({"words": pa.array(["b", "c"])})}
    save_columns(layout, "m", columns)
    shares = [
        ColumnSums(subject(layout, "m", "token"), 3, np.array([0, 1]), np.array([3.0, 1.0]), np.array([-3.0, 1.0])),
        ColumnSums(subject(layout, "m", "user"), 1, np.array([0, 1]), np.array([2.0, 3.0]), np.array([2.0, 3.0])),
    ]
    ranked = [(f.label, f.mean_absolute, f.mean_signed) for f in rank_features(shares)]
    assert ranked == [("a", 0.75, -0.75), ("b", 0.75, 0.75), ("c", 0.75, 0.75)]


def test_parts_are_bundled_without_loss(tmp_path, monkeypatch):
    layout = Layout(tmp_path)
    names = [f"part-{number:06d}.parquet" for number in range(7)]
    for name in names:
        write_part(layout.predictions / "m" / name, PREDICTIONS.empty_table(), PREDICTIONS)
        write_part(layout.enhanced / name, PREDICTIONS.empty_table(), PREDICTIONS)
    one = subject(layout, "m")
    assert deal_parts(one) == [tuple(names)], "tiny parts make one task"
    monkeypatch.setattr("lo2dask.explanation.merged_parts.TASK_BYTES", 1)
    assert deal_parts(one) == [(name,) for name in names]
    monkeypatch.setattr("lo2dask.explanation.merged_parts.TASKS", 3)
    groups = deal_parts(one)
    assert [len(group) for group in groups] == [2, 3, 2]
    assert [name for group in groups for name in group] == names


@given(sizes=st.lists(st.integers(0, 10**9), max_size=300), groups=st.integers(1, 64), least=st.integers(0, 10**8))
def test_bundles_are_bounded_in_number_and_in_bytes(sizes, groups, least):
    names = [f"part-{number}" for number in range(len(sizes))]
    bundles = deal_consecutive(names, sizes, groups, least)
    assert [name for bundle in bundles for name in bundle] == names
    assert len(bundles) <= groups
    assert all(bundles)
    of = dict(zip(names, sizes, strict=True))
    fair = max(sum(sizes) / groups, least + sum(sizes) / max(1, sum(sizes) // max(least, 1)))
    assert all(sum(of[name] for name in bundle) <= fair + 2 * max(sizes) for bundle in bundles)


def test_explanations_name_features_and_their_values():
    from scipy import sparse

    rows = sparse.csr_matrix(np.array([[0.0, 2.0, 1.0], [1.0, 0.0, 0.0]]))
    top = TopFeatures(np.array([[1, 0], [-1, -1]]), np.array([[0.5, -0.25], [0.0, 0.0]]), np.array([True, False]))
    made = [
        {
            "seq_id": f"s{i}",
            "run": "r",
            "test_case": "t",
            "service": "u",
            "normal": False,
            "anomaly": True,
            "pred_ano": 1,
            "score": 0.5,
            "score_held_out": 0.5,
            "rank": 1,
            "split": "train",
        }
        for i in range(2)
    ]
    predictions = pa.Table.from_pylist(made, PREDICTIONS)
    table = explanation_table(predictions, top.explained, list_features(top, rows, ["a", "b", "c"]))
    assert table.schema == EXPLANATIONS
    first, second = table.to_pylist()
    assert first["features"] == [
        {"feature": "b", "value": 2.0, "shap": 0.5},
        {"feature": "a", "value": 0.0, "shap": -0.25},
    ]
    assert (second["explained"], second["features"]) == (False, [])


def test_bags_and_token_lists_read_alike():
    bag_type = pa.list_(pa.struct([("token", pa.string()), ("count", pa.int32())]))
    bags = pa.array([[{"token": "a", "count": 2}, {"token": "b", "count": 1}], []], bag_type)
    lists = pa.array([["a", "b", "a"], []], pa.list_(pa.string()))
    for column in (bags, lists):
        assert row_bags(pa.table({"e_words": column}), "e_words") == [{"a": 2, "b": 1}, {}]


KEPT = ["if", "event_lr_words", "sequence_shap_lr_words", "baseline_seq_len_sup"]


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, ["if", "event_lr_words", "sequence_shap_lr_words"]),
        ({"skip_if": True}, ["event_lr_words", "sequence_shap_lr_words"]),
        ({"sup_models": ("event_lr_words",), "skip_if": True}, ["event_lr_words", "sequence_shap_lr_words"]),
        ({"nn_source": "sequence_shap_lr_words"}, ["sequence_shap_lr_words", "if", "event_lr_words"]),
        ({"sup_models": ("dt_words",), "nn_source": "dt_words"}, ["dt_words", "if", "sequence_shap_lr_words"]),
    ],
)
def test_the_model_that_neighbours_are_sought_for_comes_first(options, keys, tmp_path):
    assert choose_keys(ExplainOptions(**options), KEPT, Layout(tmp_path)) == keys


@pytest.mark.parametrize(
    ("options", "kept", "said"),
    [
        ({"nn_source": "nonsense"}, KEPT, "^--nn-source: 'nonsense' is not known"),
        ({}, [], "lo2dask train"),
        ({"skip_if": True}, ["if"], "--sup-models"),
    ],
)
def test_keys_that_cannot_be_used_are_refused(options, kept, said, tmp_path):
    with pytest.raises(InputError, match=said):
        choose_keys(ExplainOptions(**options), kept, Layout(tmp_path))


def test_predictions_per_service_are_read_apart(tmp_path):
    layout = make_root(tmp_path, ("event_lr_words",), parts=2)
    name = deal_parts(subject(layout, "event_lr_words"))[0][0]
    whole = subject(layout, "event_lr_words").read_predictions(name)
    parts = [subject(layout, "event_lr_words", service).read_predictions(name) for service in ("token", "user")]
    assert sum(part.num_rows for part in parts) == whole.num_rows
    assert {row["service"] for row in parts[0].to_pylist()} == {"token"}
    assert subject(layout, "event_lr_words", "user").part_name("part-000003.parquet") == "part-000003-user.parquet"


def test_sequences_without_a_label_are_not_measured_as_normal(tmp_path):
    anomaly, score = [True, False, None, None], [0.9, 0.1, 0.5, None]
    rows = [
        {"seq_id": f"s{at}", "run": "r", "test_case": "c", "service": "s", "normal": None if one is None else not one,
         "anomaly": one, "pred_ano": int(at == 0), "score": score[at], "split": "train"}
        for at, one in enumerate(anomaly)
    ]  # fmt: skip
    write_part(tmp_path / "part-000000.parquet", pa.Table.from_pylist(rows, PREDICTIONS), PREDICTIONS)
    found = measure_predictions(tmp_path)["train"]
    assert found["support"] == {"rows": 2, "normal": 1, "anomaly": 1}
    assert found["accuracy"] == 1.0
