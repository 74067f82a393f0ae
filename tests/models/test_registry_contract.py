"""Every entry of the registry, every general <algorithm>_<representation> and two toys keep one contract."""

import ast
import functools
import pickle
from pathlib import Path

import numpy as np
import pytest

import lo2dask
from lo2dask.errors import InputError
from lo2dask.models import bundle, registry, score
from lo2dask.models.spec import Behaviour, Cost

from .conftest import fit_entry, make, spec_of, test_rows
from .toys import MERGED_TOY, TOY, score_toy, train_toy

CONTRACT = [*registry.names(), registry.FOREST, "drift_words", "toy_words", "merged_toy_words"]


@pytest.fixture(autouse=True)
def toy():
    with registry.register(TOY), registry.register(MERGED_TOY):
        yield


@pytest.mark.parametrize("key", CONTRACT)
def test_entry_fits_flags_the_planted_anomaly_and_scores_the_same_when_loaded(key, tmp_path):
    spec = spec_of(key)
    made = make(spec)
    fitted = fit_entry(spec, made)
    assert fitted.record.fitted
    assert fitted.record.model_bytes > 0
    rows = test_rows(spec, made)
    scores = score.score(spec, fitted.model, fitted.scoring, rows)
    labels = score.label(scores, fitted.scoring)
    assert scores[-1] > scores[:-1].max(), "the anomaly has the highest score"
    assert labels[-1] == 1
    assert labels[:-1].mean() <= 0.5, "most normal rows are not flagged"

    content = {"key": key, "model": fitted.model, "vectorizer": None, "spec": spec.to_plain()}
    bundle.save(tmp_path / "m.joblib", content | {"scoring": fitted.scoring})
    loaded = bundle.load(tmp_path / "m.joblib")
    again = registry.from_plain(loaded["spec"])
    assert again == spec
    assert np.array_equal(score.score(again, loaded["model"], loaded["scoring"], rows), scores)


@pytest.mark.parametrize("key", [key for key in registry.pairs() if not key.endswith("_raw")])
def test_every_pair_ranks_the_planted_anomaly_first(key):
    spec = registry.spec(key)
    # What differs between words, trigrams and templates is the vectorizer alone; forests are the slow ones.
    if spec.algorithm == "rf":
        spec = registry.replace(spec, params={**spec.params, "n_estimators": 20})
    made = make(spec)
    fitted = fit_entry(spec, made)
    scores = score.score(spec, fitted.model, fitted.scoring, test_rows(spec, made))
    assert scores.argmax() == len(scores) - 1
    assert score.label(scores, fitted.scoring)[-1] == 1


@pytest.mark.parametrize("key", CONTRACT)
def test_entry_fits_the_same_twice_and_for_any_number_of_parts(key):
    spec = spec_of(key)
    made = make(spec)
    rows = test_rows(spec, made)
    first, second = (fit_entry(spec, made, parts=parts) for parts in (1, 7))
    assert first.scoring == second.scoring
    expected = score.score(spec, first.model, first.scoring, rows)
    assert np.array_equal(expected, score.score(spec, second.model, second.scoring, rows, batch=5))


@pytest.mark.parametrize("key", CONTRACT)
def test_training_rows_that_teach_nothing_are_a_reason_and_no_error(key):
    spec = spec_of(key)
    made = make(spec)
    anomalies = fit_entry(spec, type(made)(made.matrix[made.y], made.counts.take(made.y), made.y[made.y], None, None))
    if spec.supervised:
        assert "anomalies only" in anomalies.record.reason
    elif spec.normal_only:
        assert "no normal sequence" in anomalies.record.reason
    else:
        assert anomalies.record.fitted
    if not anomalies.record.fitted:
        assert anomalies.model is None


@pytest.mark.parametrize("key", CONTRACT)
def test_entries_travel_to_workers_whole(key):
    spec = spec_of(key)
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec
    assert again.behaviour.cost == spec.behaviour.cost


def test_the_seed_reaches_a_toy_and_its_name_is_known_inside_the_block_alone():
    spec = registry.spec("toy_words")
    made = make(spec)
    weights = [fit_entry(spec, made, seed).model["weights"] for seed in (1, 1, 2)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    with pytest.raises(ValueError, match="toy"), registry.register(TOY):
        pass
    other = registry.replace(TOY, algorithm="other")
    with registry.register(other):
        assert registry.is_known("other_e_words+seq_len")
    assert not registry.is_known("other_words")
    with pytest.raises(InputError, match="'other' is not known.*fit it again"):
        registry.from_plain(other.to_plain())


def test_a_specification_without_costs_or_without_a_way_to_fit_is_an_error_when_it_is_made():
    ways = {"seed_parameter": None, "threads_parameter": None, "score": score_toy}
    cost = Cost(cell=8, row=64, dense=1, fixed=0)
    with pytest.raises(TypeError, match="cost"):
        Behaviour(**ways, train=train_toy)
    with pytest.raises(TypeError, match="row"):
        Cost(cell=8, dense=0, fixed=0)
    with pytest.raises(ValueError, match="must cost more than 0"):
        Cost(cell=8, row=0, dense=0, fixed=0)
    with pytest.raises(TypeError, match="seed_parameter"):
        Behaviour(cost=cost, threads_parameter=None, score=score_toy, train=train_toy)
    with pytest.raises(ValueError, match="train and merging"):
        Behaviour(**ways, cost=cost)


@functools.cache
def strings_of(path: Path) -> list[tuple[int, str]]:
    """List the string constants of a module by line, docstrings and parts of f-strings too."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [(node.lineno, node.value) for node in nodes if isinstance(node, ast.Constant) and type(node.value) is str]


def test_no_algorithm_and_no_model_is_named_outside_the_registry():
    package = Path(lo2dask.__file__).parent
    # Defaults of options are plain words, which a user types.
    allowed = {package / "models" / name for name in ("registry.py", "estimators.py")} | set(
        (package / "options").glob("*.py")
    )
    names = {*registry.ALGORITHMS, *registry.REGISTRY}
    found = [
        f"{path.relative_to(package)}:{line}: {text}"
        for path in sorted(set(package.rglob("*.py")) - allowed)
        for line, text in strings_of(path)
        if text in names
    ]
    assert not found, "\n".join(found)
    assert {text for _, text in strings_of(package / "models" / "registry.py")} >= {"xgb", "lof", "event_lr_words"}
