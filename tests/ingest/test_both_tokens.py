"""`--tokens both`: one pass gives the bags of a masked and of a raw run, and models read either by name."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lo2dask import schema
from lo2dask.commands.explain import explain
from lo2dask.commands.grid import grid
from lo2dask.commands.run import run
from lo2dask.commands.score import score
from lo2dask.commands.verify import verify
from lo2dask.errors import InputError, IntegrityError
from lo2dask.execute.session import Session
from lo2dask.ingest import batch
from lo2dask.options import ExplainOptions, GridOptions, LoadOptions, RunOptions, ScoreOptions, VerifyOptions
from lo2dask.schema import TokenKinds
from lo2dask.sizing.forecast import spill_bytes
from lo2dask.sizing.needs import load_needs
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part
from lo2dask.vocabulary import reduce, spill
from tests.trees import load_tree, make_tree, table_of, train_root

RAW = {"e_words": "e_words_raw", "e_trigrams": "e_trigrams_raw"}
MODELS = ("lr_words", "lr_words_raw", "oov_trigrams_raw", "lr_e_words_raw+seq_len", "lr_all")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("tree") / "raw", scale=0.02)


@pytest.fixture(scope="module")
def loaded(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same tree loaded with each kind of tokens, in several parts."""
    folder = tmp_path_factory.mktemp("loaded")
    return {
        tokens: load_tree(raw, folder / tokens, tokens=tokens, partition_size="250KB", save_events=tokens == "both")
        for tokens in ("masked", "raw", "both")
    }


@pytest.fixture(scope="module")
def trained(loaded: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bundles of models trained on both, without saying again that there are both."""
    folder = tmp_path_factory.mktemp("bundles")
    summary = train_root(
        loaded["both"], models=MODELS, if_item="e_words_raw", save_sup_models=folder, save_model=folder / "if.joblib"
    )
    assert not summary.enhanced
    train_root(loaded["raw"], models=("lr_words", "oov_trigrams"), tokens="raw")
    train_root(loaded["masked"], models=("lr_words", "lr_all"))
    return folder


def enhanced(root: Path) -> pa.Table:
    return table_of(Layout(root).enhanced)


def vocabulary(root: Path) -> dict[str, list]:
    table = table_of(Layout(root).vocabulary)
    kinds = dict.fromkeys(table["representation"].to_pylist())
    return {
        kind: table.filter(pc.equal(table["representation"], kind)).drop_columns("representation").to_pylist()
        for kind in kinds
    }


def predictions(root: Path, key: str) -> list[dict]:
    return table_of(Layout(root).predictions / key).to_pylist()


def renamed(table: pa.Table) -> pa.Table:
    return table.select(["seq_id", *RAW]).rename_columns(["seq_id", *RAW.values()])


def test_both_are_the_bags_of_a_masked_and_of_a_raw_run(loaded: dict[str, Path]) -> None:
    both, masked, raw = (enhanced(loaded[tokens]) for tokens in ("both", "masked", "raw"))
    assert len(part_paths(Layout(loaded["both"]).enhanced)) > 2
    assert both.schema.names == TokenKinds.of("both").enhanced().names == [*masked.schema.names, *RAW.values()]
    assert both.drop_columns(list(RAW.values())).equals(masked)
    assert both.select(["seq_id", *RAW.values()]).equals(renamed(raw))
    assert not both["e_words"].equals(both["e_words_raw"])


def test_the_vocabulary_has_both(loaded: dict[str, Path]) -> None:
    both, masked, raw = (vocabulary(loaded[tokens]) for tokens in ("both", "masked", "raw"))
    assert list(both) == list(schema.REPRESENTATIONS)
    assert {kind: both[kind] for kind in schema.MAIN} == masked
    assert {kind: both[f"{kind}_raw"] for kind in ("words", "trigrams")} == {
        kind: raw[kind] for kind in ("words", "trigrams")
    }


def test_a_later_enhancement_gives_the_same_as_one_while_loading(
    loaded: dict[str, Path], raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tiny blocks, so that counts of several are added up.
    monkeypatch.setattr(batch, "BLOCK_BYTES", 20_000)
    root = load_tree(raw, tmp_path / "out", enhance=False, partition_size="250KB")
    assert train_root(root, phase="enhancers", tokens="both").enhanced
    assert enhanced(root).equals(enhanced(loaded["both"]))
    assert vocabulary(root) == vocabulary(loaded["both"])
    assert not train_root(root, phase="enhancers").enhanced, "the masked bags are there"
    assert train_root(root, phase="enhancers", tokens="raw").enhanced
    assert enhanced(root).equals(enhanced(loaded["raw"]))


def test_parts_finished_again_count_the_tokens_of_their_bags(loaded: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "out"
    shutil.copytree(loaded["both"], root)
    layout = Layout(root)
    assert not layout.counts.exists(), "what the text pass counted is spent"
    layout.marker("enhance").unlink()
    shutil.rmtree(layout.vocabulary)
    assert train_root(root, phase="enhancers", tokens="both").enhanced
    for folder in (layout.enhanced, layout.vocabulary):
        for path in part_paths(folder):
            assert path.read_bytes() == (loaded["both"] / path.relative_to(root)).read_bytes()


def test_token_lists_are_kept_of_both(loaded: dict[str, Path], raw: Path, tmp_path: Path) -> None:
    root = load_tree(raw, tmp_path / "out", tokens="both", keep_token_lists=True)
    lists, bags = enhanced(root), enhanced(loaded["both"])
    for column in schema.REPRESENTATIONS.values():
        assert lists.schema.field(column).type == schema.TOKEN_LIST
        full = [sorted(row) for row in lists[column].to_pylist()]
        assert full == [
            sorted(pair["token"] for pair in row for _ in range(pair["count"])) for row in bags[column].to_pylist()
        ]
    assert verify(VerifyOptions(output_dir=root), Session.serial()).problems == ()
    train_root(root, models=("lr_words_raw",), skip_if=True)
    assert predictions(root, "lr_words_raw")


def test_models_read_raw_bags_by_name(loaded: dict[str, Path], trained: Path) -> None:
    assert predictions(loaded["both"], "lr_words_raw") == predictions(loaded["raw"], "lr_words")
    assert predictions(loaded["both"], "oov_trigrams_raw") == predictions(loaded["raw"], "oov_trigrams")
    for key in ("lr_words", "lr_all"):
        assert predictions(loaded["both"], key) == predictions(loaded["masked"], key)
    assert predictions(loaded["both"], "lr_words_raw") != predictions(loaded["both"], "lr_words")
    assert predictions(loaded["both"], "if") != predictions(loaded["masked"], "if")
    assert verify(VerifyOptions(output_dir=loaded["both"]), Session.serial()).problems == ()


@pytest.mark.parametrize(
    "name",
    [
        "if",
        "lr_words",
        *(pytest.param(name, marks=pytest.mark.thorough) for name in ("lr_words_raw", "lr_e_words_raw+seq_len")),
    ],
)
def test_bundles_of_raw_bags_score_the_raw_tree_alike(
    loaded: dict[str, Path], trained: Path, raw: Path, tmp_path: Path, name: str
) -> None:
    score(ScoreOptions(bundle=trained / f"{name}.joblib", root=raw, output_dir=tmp_path), Session.serial())
    table = table_of(tmp_path / f"{name}_predictions.parquet")
    assert table[f"score_{name}"].to_pylist() == [row["score"] for row in predictions(loaded["both"], name)]
    (work,) = (path for path in (Layout(tmp_path).internal / "score").iterdir() if path.is_dir())
    has_raw = "e_words_raw" in read_part(part_paths(Layout(work).enhanced)[0]).column_names
    assert has_raw == (name != "lr_words"), "raw bags are made for whom reads them"


@pytest.mark.thorough
def test_the_evidence_of_a_raw_model_is_that_of_raw_lines(loaded: dict[str, Path], trained: Path) -> None:
    told = {}
    for tokens, key in (("both", "lr_words_raw"), ("raw", "lr_words")):
        options = ExplainOptions(root=loaded[tokens], sup_models=("lr_words", key), skip_if=True, nn_source=key)
        explain(options, Session.serial())
        table = table_of(Layout(loaded[tokens]).explainability / f"{key}_explanations.parquet")
        told[tokens] = table.select(["seq_id", "features", "lines", "nearest_normal", "similarity"]).to_pylist()
    assert any(line["share"] > 0 for row in told["both"] for line in row["lines"])
    assert told["both"] == told["raw"]


def test_the_grid_has_raw_representations(loaded: dict[str, Path]) -> None:
    options = GridOptions(root=loaded["both"], algorithms=("oov",), representations=("words", "words_raw"), seeds=1)
    assert {row["representation"] for row in grid(options, Session.serial()).rows} >= {"words", "words_raw"}


def test_what_tables_do_not_have_is_one_line_with_the_mend(
    loaded: dict[str, Path], trained: Path, raw: Path, tmp_path: Path
) -> None:
    mend = "the tables have no e_words_raw; load with --tokens both"
    for tokens in ("masked", "raw"):
        for changes in ({"models": ("lr_words_raw",)}, {"if_item": "e_words_raw"}):
            with pytest.raises(InputError, match=mend) as error:
                train_root(loaded[tokens], tokens=tokens, **changes)
            assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=f"--load-model .*{mend}"):
        train_root(loaded["masked"], phase="if", load_model=trained / "if.joblib")
    with pytest.raises(InputError, match=f"--representations words_raw: {mend}"):
        grid(GridOptions(root=loaded["masked"], representations=("words_raw",)), Session.serial())
    for changes in ({"sup_models": ("lr_words_raw",)}, {"nn_source": "lr_words_raw"}, {"load_model": "if.joblib"}):
        given = {name: trained / value if name == "load_model" else value for name, value in changes.items()}
        with pytest.raises(InputError, match=mend):
            explain(ExplainOptions(root=loaded["masked"], **given), Session.serial())
    with pytest.raises(InputError, match=f"--models lr_words_raw: {mend}"):
        run(RunOptions(root=raw, output_dir=tmp_path / "new", models=("lr_words_raw",)), Session.serial())
    assert not (tmp_path / "new").exists(), "told before any work"


def test_a_spill_of_both_needs_the_room_of_both(raw: Path) -> None:
    size, part = 1 << 30, 64_000_000
    both = load_needs(LoadOptions(root=raw, tokens="both"), size, 1, 1).spill
    assert both == pytest.approx(sum(spill_bytes(size, part, TokenKinds.of(kind)) for kind in ("masked", "raw")), abs=2)


@pytest.mark.parametrize("max_features", [pytest.param(60, marks=pytest.mark.thorough), 1_000_000])
def test_the_vocabulary_is_the_same_file_for_any_parts_and_buckets(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_features: int
) -> None:
    changes = {"tokens": "both", "max_features": max_features}
    whole = Layout(load_tree(raw, tmp_path / "whole", partition_size="250KB", **changes))
    monkeypatch.setattr(spill, "_BUCKET_ROWS", 200)
    for name, value in {"BUCKET_ROWS": 1000, "MOST_BYTES": 50_000, "MERGE_ROWS": 1000, "BATCH_ROWS": 200}.items():
        monkeypatch.setattr(reduce, name, value)
    parts = Layout(load_tree(raw, tmp_path / "parts", partition_size="120KB", **changes))
    assert len(part_paths(parts.sequences)) > len(part_paths(whole.sequences))
    (one,), (other,) = part_paths(whole.vocabulary), part_paths(parts.vocabulary)
    assert one.read_bytes() == other.read_bytes()


def test_a_record_that_is_lost_is_named(raw: Path, tmp_path: Path) -> None:
    root = load_tree(raw, tmp_path / "out", enhance=False, save_events=True)
    Layout(root).record("load", 0).unlink()
    with pytest.raises(IntegrityError, match=r"000000.json: missing or damaged; load again"):
        train_root(root, phase="enhancers")
