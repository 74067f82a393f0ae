"""Verify finds each way in which a folder can be damaged, and nothing in one that is whole."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lo2dask import schema
from lo2dask.cli import actions as cli_actions
from lo2dask.commands.verify import check_bundle, verify
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.models.bundle import hash_path
from lo2dask.options import VerifyOptions
from lo2dask.storage import read_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, write_part
from lo2dask.tables.records import describe_outputs
from tests.damage import edit
from tests.trees import load_tree, make_tree, train_root


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("raw") / "tree", scale=0.02, runs=3, with_metrics=True)


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Loaded in several parts, with events and metrics, and trained."""
    out = load_tree(
        raw, tmp_path_factory.mktemp("whole") / "out", save_events=True, load_metrics=True, partition_size="100KB"
    )
    train_root(out, models=("lr_words",), save_model=out / "models" / "lo2_if.joblib")
    assert len(part_paths(Layout(out).sequences)) > 2
    return out


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Layout:
    return Layout(Path(shutil.copytree(whole, tmp_path / "out")))


def found(root: Path, **changes: object) -> list[str]:
    return list(verify(VerifyOptions(output_dir=root, **changes), Session.serial()).problems)


def test_a_whole_folder_is_ok(whole: Path) -> None:
    summary = verify(VerifyOptions(output_dir=whole), Session.serial())
    assert summary.problems == ()
    assert summary.sequences == sum(read_part(path).num_rows for path in part_paths(Layout(whole).sequences))
    assert summary.bytes > 0
    # lr_words, the forest and its own table; their bundles, those of two baselines, and the saved one.
    assert (summary.models, summary.bundles) == (3, 5)


@pytest.mark.parametrize(
    "loading",
    [{"enhance": False}, {"continuation_lines": "merge", "save_events": True}, {"keep_token_lists": True}, {}],
)
def test_folders_that_are_loaded_otherwise_are_ok(raw: Path, tmp_path: Path, loading: dict) -> None:
    assert found(load_tree(raw, tmp_path / "out", **loading)) == []


def test_another_text_pass_is_no_damage(root: Layout) -> None:
    train_root(root.root, phase="enhancers", tokens="raw")
    assert found(root.root) == []


def test_bad_input_adds_up_too(tmp_path: Path) -> None:
    raw = make_tree(tmp_path / "tree", scale=0.01, runs=2, faults=True)
    assert found(load_tree(raw, tmp_path / "out", save_events=True, partition_size="50KB")) == []


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def rewrite(path: Path, row_schema: pa.Schema, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a part and the records that name it, as a faulty command would."""
    write_part(path, change(read_part(path)), row_schema)
    root = next(folder for folder in path.parents if (folder / "_lo2dask").is_dir())
    name, described = path.relative_to(root).as_posix(), describe_outputs(root, [path])
    for record in (root / "_lo2dask").rglob("*.json"):
        outputs = read_json(record).get("outputs", {})
        if name in outputs:
            edit(record, outputs=outputs | {name: asdict(described[name])})


def change_record(layout: Layout, inputs: str | None = None, **summary: int) -> None:
    """Change the record of the load's second batch; ``summary`` are counts of its lines."""
    content = read_json(layout.record("load", 1))["summary"]
    content["lines"] |= summary
    edit(layout.record("load", 1), summary=content, **({"inputs": inputs} if inputs else {}))


def stop_load(layout: Layout) -> None:
    """Make the load look as if it had been stopped."""
    edit(layout.marker("load"), summary=read_json(layout.marker("load"))["summary"] | {"done": False})


def set_column(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


PART = "part-000001.parquet"
DAMAGE: dict[str, tuple[Callable[[Layout], object], str]] = {
    "a part is gone": (lambda at: (at.sequences / PART).unlink(), "lo2_sequences.parquet/part-000001.parquet: missing"),
    "a part is cut off": (
        lambda at: (at.events / PART).write_bytes((at.events / PART).read_bytes()[:-100]), "bytes, its record says"
    ),
    "a part is a link to itself": (
        lambda at: ((at.events / PART).unlink(), (at.events / PART).symlink_to(PART)), "part-000001.parquet: missing"
    ),
    "a byte differs": (lambda at: flip_a_byte(at.events / PART), "lo2_events.parquet/part-000001.parquet: its content"),
    "a metric part differs": (
        lambda at: flip_a_byte(part_paths(at.metrics)[0]), "lo2_metrics.parquet/part-000000.parquet: its content"
    ),
    "a record is gone": (lambda at: at.record("load", 1).unlink(), "no record"),
    "lines went missing": (
        lambda at: change_record(at, kept=1), "lines were read"
    ),
    "a record of other logs": (lambda at: change_record(at, inputs="0"), "made from other logs"),
    "the enhanced table lost a row": (
        lambda at: rewrite(at.enhanced / PART, schema.ENHANCED, lambda table: table.slice(1)), "rows for"
    ),
    "the enhanced table has another row": (
        lambda at: rewrite(
            at.enhanced / PART, schema.ENHANCED,
            lambda table: set_column(table, "seq_id", ["x", *table["seq_id"].to_pylist()[1:]]),
        ),
        "not the sequences of the same part",
    ),
    "a column is gone": (
        lambda at: rewrite(at.enhanced / PART, schema.SEQUENCES, lambda table: table), "its columns"
    ),
    "no Parquet at all": (lambda at: (at.enhanced / PART).write_text("nothing"), "7 bytes, its record says"),
    "templates are gone": (
        lambda at: rewrite(at.templates / "part-000000.parquet", schema.TEMPLATES, lambda table: table.slice(5)),
        "is not in lo2_templates.parquet",
    ),
    "the vocabulary is of another tree": (
        lambda at: rewrite(
            at.vocabulary / "part-000000.parquet", schema.VOCABULARY,
            lambda table: set_column(
                table, "document_frequency", pc.add(table["document_frequency"], 1).combine_chunks()
            ),
        ),
        "lo2_vocabulary.parquet: ",
    ),
    "a part too many": (
        lambda at: shutil.copy(at.sequences / PART, at.sequences / "part-000099.parquet"), "no record names it"
    ),
    "predictions are gone": (
        lambda at: (at.predictions / "lr_words" / PART).unlink(), "_lo2dask/predictions/lr_words/part-000001.parquet"
    ),
    "predictions of the forest lost rows": (
        lambda at: rewrite(at.if_predictions / PART, schema.IF_PREDICTIONS, lambda table: table.slice(0, 1)),
        "lo2_if_predictions.parquet/part-000001.parquet: 1 rows",
    ),
    "a bundle differs": (
        lambda at: flip_a_byte(at.root / "models" / "lo2_if.joblib"),
        "models/lo2_if.joblib: its content",
    ),
    "a hash is gone": (lambda at: (at.models / "lr_words.joblib.sha256").unlink(), "lr_words.joblib.sha256: missing"),
    "the load did not end": (
        stop_load, "load: it did not"
    ),
    "enhancement did not end": (lambda at: at.marker("enhance").unlink(), "enhancement did not finish"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(root: Layout, name: str) -> None:
    damage, said = DAMAGE[name]
    damage(root)
    problems = found(root.root)
    assert any(said in problem for problem in problems), problems
    assert len(problems) == len(set(problems))


def test_of_a_load_that_did_not_finish_only_damage_is_listed_beside_it(root: Layout) -> None:
    stop_load(root)
    root.record("load", 1).unlink()
    root.record("text", 1).unlink()
    for stage in ("text", "enhance"):
        root.marker(stage).unlink()
    (root.events / f".{PART}.0123abcd.tmp").write_bytes(b"half")
    assert found(root.root) == ["load: it did not finish; run the same command again, it resumes"]
    flip_a_byte(root.events / "part-000000.parquet")
    assert any("lo2_events.parquet/part-000000.parquet: its content" in line for line in found(root.root))


def test_an_enhancement_that_did_not_finish_is_one_line(root: Layout) -> None:
    root.marker("enhance").unlink()
    (root.vocabulary / ".part-000000.parquet.0123abcd.tmp").write_bytes(b"half")
    assert found(root.root) == [
        "_lo2dask/enhance.json: the enhancement did not finish; run the same command again, it resumes"
    ]


def test_the_command_that_writes_a_file_again_is_named(root: Layout) -> None:
    flip_a_byte(root.events / PART)
    (root.enhanced / PART).unlink()
    (root.models / "lr_words.joblib").unlink()
    flip_a_byte(part_paths(root.metrics)[0])
    said = {line.split(": ")[0].split("/")[-2]: line.rpartition("; ")[2] for line in found(root.root)}
    assert said == {
        "lo2_events.parquet": "delete it and run lo2dask load again with the same options",
        "lo2_sequences_enhanced.parquet": "run lo2dask load or train again with the same options",
        "models": "run lo2dask train again with the same options",
        "lo2_metrics.parquet": "delete it and run lo2dask load --load-metrics again with the same options",
    }


def test_a_damaged_state_file_is_to_be_deleted(root: Layout, raw: Path) -> None:
    flip_a_byte(root.split)
    (problem,) = found(root.root)
    assert problem == "_lo2dask/split.json: it is damaged: lo2dask train makes it again; delete it"
    root.split.unlink()
    train_root(root.root, models=("lr_words",), save_model=root.root / "models" / "lo2_if.joblib", overwrite_model=True)
    assert found(root.root) == []


def test_a_sequence_that_is_there_twice_is_named(root: Layout) -> None:
    first = read_part(root.sequences / "part-000000.parquet")["seq_id"][0].as_py()
    rewrite(
        root.sequences / PART,
        schema.SEQUENCES,
        lambda table: set_column(table, "seq_id", [first, *table["seq_id"].to_pylist()[1:]]),
    )
    assert any(f"{first} is there 2 times: part-000000.parquet, part-000001" in line for line in found(root.root))


def test_sizes_alone_do_not_see_a_byte(root: Layout) -> None:
    flip_a_byte(part_paths(root.metrics)[0])
    assert found(root.root, checksums=False) == []


def test_the_command_ends_with_one_and_a_line_for_each_problem(
    root: Layout, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_actions, "opened", lambda options: contextlib.nullcontext(Session.serial(options)))
    good = command("verify", root.root)
    assert good.code == 0, good.err
    assert good.out.startswith("ok: ")
    (root.models / "lr_words.joblib.sha256").unlink()
    (root.rejects / "part-000007.parquet").write_text("strange")
    bad = command("verify", root.root)
    assert bad.code == 1
    assert len(bad.out.splitlines()) == 2
    assert bad.err.splitlines()[-1] == f"lo2dask: {root.root}: 2 problems"


def test_a_folder_without_a_load_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was loaded"):
        found(tmp_path)


def test_a_damaged_bundle_that_an_earlier_train_left_has_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "models" / "lr_words.joblib"
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    hash_path(path).write_text(f"{'0' * 64}  {path.name}\n")
    problem = check_bundle(path, tmp_path)
    assert problem is not None
    assert "is not what lr_words.joblib.sha256 says; an earlier train left it" in problem.what
    assert "delete both, or train its model with --save-model or --save-sup-models" in problem.what
