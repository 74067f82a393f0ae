import json
import pickle
import subprocess
import sys

import pytest

from lo2dask.errors import InputError
from lo2dask.models import guard, registry
from lo2dask.options import DEFAULT_MODELS, ForestOptions
from lo2dask.schema import NUMERIC, REPRESENTATIONS

PUBLISHED = (
    "excess event_lr_words event_dt_trigrams event_lsvm_words event_rf_words event_xgb_words event_lof_words "
    "event_kmeans_words event_oneclass_svm_words event_rarity_words event_oov_words sequence_lr_numeric "
    "sequence_lr_words sequence_shap_lr_words"
)


def test_the_published_ones_in_their_order_and_the_defaults_among_them():
    assert registry.names() == tuple(PUBLISHED.split())
    assert [row["key"] for row in registry.describe()] == list(registry.names())
    assert set(DEFAULT_MODELS) <= set(registry.names())


def test_listing_imports_nothing_heavy():
    code = (
        "import sys\nfrom lo2dask.models import registry\nregistry.describe()\n"
        "heavy = {'sklearn', 'xgboost', 'scipy', 'pandas', 'shap', 'matplotlib', 'dask'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_published_parameters():
    rf = registry.spec("event_rf_words")
    assert dict(rf.params) == {
        "n_estimators": 150,
        "max_depth": 12,
        "min_samples_leaf": 10,
        "min_samples_split": 20,
        "max_features": 0.3,
        "max_samples": 0.8,
    }
    assert (rf.vectorizer.min_df, rf.vectorizer.max_features) == (5, 40_000)
    assert registry.spec("event_rarity_words").threshold == 250
    oov = registry.spec("event_oov_words")
    assert (oov.threshold, oov.normal_only, oov.vectorizer.max_df, oov.vectorizer.max_features) == (1, True, 1.0, None)
    assert registry.spec("sequence_lr_numeric").numeric == ("seq_len", "duration_sec")
    assert [key for key in registry.names() if registry.spec(key).always_explained] == ["sequence_shap_lr_words"]


def test_pairs_are_the_sensible_ones():
    assert len(registry.pairs()) == 9 * 7 + 3 * 5
    assert registry.spec("drift_templates").bags == ("templates",)
    assert registry.spec("if_all").bags == ("words", "trigrams", "templates")
    assert registry.spec("lr_numeric").bags == ()
    with pytest.raises(InputError, match="oov_numeric.*lo2dask models"):
        registry.spec("oov_numeric")


def test_entries_are_read_only_and_pickle():
    spec = registry.spec("event_dt_trigrams")
    with pytest.raises(TypeError):
        spec.params["max_depth"] = 3
    with pytest.raises(TypeError):
        registry.REGISTRY["new"] = spec
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_the_forest_reads_tokens_and_numbers_together():
    spec = registry.forest_spec(ForestOptions(if_item="e_trigrams", if_numeric=("seq_len",), if_max_samples="0.5"))
    assert (spec.bags, spec.numeric, spec.params["max_samples"]) == (("trigrams",), ("seq_len",), 0.5)
    assert registry.forest_spec(ForestOptions(if_max_samples="1")).params["max_samples"] == 1
    numeric = registry.forest_spec(ForestOptions(if_item="none", if_numeric=("seq_len",)))
    assert (numeric.representation, numeric.bags) == ("numeric", ())


@pytest.mark.parametrize("column", REPRESENTATIONS.values())
def test_token_columns_are_read_by_name(column):
    kind = next(kind for kind, name in REPRESENTATIONS.items() if name == column)
    assert registry.forest_spec(ForestOptions(if_item=column)).bags == (kind,)
    for algorithm in registry.ALGORITHMS:
        spec = registry.spec(f"{algorithm}_{column}")
        assert (spec.algorithm, spec.bags, spec.numeric) == (algorithm, (kind,), ())
    both = registry.spec(f"lr_{column}+seq_len+n_error")
    assert (both.bags, both.numeric) == ((kind,), ("seq_len", "n_error"))


@pytest.mark.parametrize("column", NUMERIC)
def test_numeric_columns_are_read_by_name(column):
    for options in (ForestOptions(if_item=column), ForestOptions(if_item="none", if_numeric=(column,))):
        spec = registry.forest_spec(options)
        assert (spec.representation, spec.bags, spec.numeric) == ("numeric", (), (column,))
    spec = registry.spec(f"oneclass_svm_{column}")
    assert (spec.algorithm, spec.bags, spec.numeric) == ("oneclass_svm", (), (column,))
    assert registry.from_plain(spec.to_plain()) == spec


@pytest.mark.parametrize("key", ["lr_", "lr_e_words+e_trigrams", "oov_seq_len", "drift_e_words+rate", "lr_rate+rate"])
def test_columns_that_no_model_can_read_are_refused(key):
    assert not registry.is_known(key)
    with pytest.raises(InputError, match=r"--nn-source: .*lo2dask models"):
        registry.spec(key, "--nn-source")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("lr_wrods", "lr_words"),
        ("event_lr_word", "event_lr_words"),
        ("sequence_shap_lr_wrds", "sequence_shap_lr_words"),
        ("lr_e_wrods", "lr_e_words"),
        ("lr_e_words+seq_ln", "seq_len"),
        ("dt_seq_lenn", "dt_seq_len"),
        ("oneclas_svm_words", "oneclass_svm_words"),
    ],
)
def test_a_mistyped_model_gets_a_short_message_with_the_nearest_one(key, meant):
    with pytest.raises(InputError) as error:
        registry.spec(key)
    assert f"did you mean {meant}?" in str(error.value)
    assert len(str(error.value)) < 200


def test_nothing_is_suggested_where_nothing_is_near():
    with pytest.raises(InputError, match=r"'foo' is not known; `lo2dask models` lists"):
        registry.spec("foo")


def test_three_entries_are_one_model_and_say_so():
    told = {row["key"]: row["same model as"] for row in registry.describe()}
    assert told["event_lr_words"] == "sequence_lr_words, sequence_shap_lr_words"
    assert {key for key, same in told.items() if same} == {*told["event_lr_words"].split(", "), "event_lr_words"}
    assert registry.spec("lr_e_words").identity == registry.spec("event_lr_words").identity
    assert registry.spec("lr_words").identity != registry.spec("lr_words_raw").identity


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"if_item": "words"}, "--if-item.*e_words"),
        ({"if_numeric": ("length",)}, "--if-numeric.*seq_len"),
        ({"if_item": "none"}, "--if-numeric"),
        ({"if_max_samples": "many"}, "--if-max-samples"),
        ({"if_max_samples": "-3"}, "--if-max-samples"),
        ({"if_max_samples": "2.5"}, "--if-max-samples"),
    ],
)
def test_forest_options_that_cannot_be_used_are_named(changes, named):
    with pytest.raises(InputError, match=named):
        registry.forest_spec(ForestOptions(**changes))


def test_the_guard_caps_and_says_so():
    spec = registry.forest_spec(ForestOptions(if_n_estimators=1000))
    capped, changes = guard.cap(spec)
    assert capped.params["n_estimators"] == 300
    assert changes == ("n_estimators lowered from 1000 to 300",)
    assert guard.cap(registry.spec("event_rf_words"))[1] == ()
    assert guard.cap(registry.spec("event_oov_words"))[0].vectorizer.max_features is None
    wide = registry.replace(spec, vectorizer=registry.VectorizerSpec(max_features=200_000))
    assert guard.cap(wide)[0].vectorizer.max_features == 100_000


@pytest.mark.parametrize("key", [*registry.names(), "if_words"])
def test_the_sample_fits_the_budget(key):
    spec = registry.spec(key)
    rows = guard.rows_within(spec, 2 * 10**9, 40_000, 300)
    assert guard.fit_bytes(spec, rows, 40_000, 300) <= 2 * 10**9
    assert guard.rows_within(spec, 10**9, 40_000, 300) <= rows
    assert guard.bound_rows(spec, 50, 2 * 10**9, 40_000, 300) == (50, ())


def test_a_cut_sample_is_said_and_a_hopeless_budget_refused():
    spec = registry.spec("event_lr_words")
    rows, changes = guard.bound_rows(spec, 10**7, 2 * 10**9, 40_000, 300)
    assert rows < 10**7
    assert changes == (f"sample of {rows} of 10000000 rows (a budget of 2.0 GB)",)
    assert guard.bound_rows(registry.spec("event_lof_words"), 10**7, 2 * 10**9, 1000, 10)[0] == 10_000
    with pytest.raises(InputError, match="--memory-budget.*at least"):
        guard.rows_within(spec, 10**8, 40_000, 300)


@pytest.mark.parametrize("key", [*registry.REGISTRY, "lr_e_words+seq_len"])
def test_every_entry_is_rebuilt_from_plain_types_as_a_bundle_keeps_them(key):
    spec = registry.spec(key)
    plain = json.loads(json.dumps(spec.to_plain()))
    assert "behaviour" not in plain
    assert registry.from_plain(plain) == spec
    # A bundle of a version that wrote more fields, or had other parameters, is read with what it was fitted with.
    other = registry.from_plain(plain | {"params": {"tol": 1}, "of_another_version": 1})
    assert (dict(other.params), other.behaviour) == ({"tol": 1}, spec.behaviour)


def test_an_explainer_that_there_is_not_is_refused_when_a_specification_is_made():
    with pytest.raises(ValueError, match="deep.*linear and tree"):
        registry.replace(registry.spec("lr_words"), explainer="deep")
    assert {spec.explainer for spec in registry.REGISTRY.values()} == {"linear", "tree", None}
