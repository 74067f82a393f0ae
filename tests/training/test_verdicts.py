"""The verdict of every model where classes differ by length, by start-up words, in one service, and not at all."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.trees import SERVICES, load_tree, train_root

MODELS = ("excess", "drift_words", "oov_words", "lof_words", "kmeans_words", "lr_words", "dt_words")
SUPERVISED = ("lr_words", "dt_words")
CASE, FAILING = "access_token_client_secret_wrong_401", "token"
RUNS, STARTUP_LINES, SECONDS = 30, 20, 60
STATEMENTS = [f"DEBUG c.n.h.Handler{n} step - took step {word}" for n, word in enumerate("abcdefgh")]
ERROR = "ERROR c.n.h.Client call - the other side did not answer"
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
LATER_SEEDS = [pytest.param(0, marks=pytest.mark.thorough), *SEEDS[1:]]
LENGTH, STARTUP, SERVICE, NOTHING = "length", "startup", "service", "nothing"


def _log(rng: np.random.Generator, kind: str, is_error: bool, service: str) -> str:
    """Make up a log: start-up lines, then steps in shares of its own, and up to two errors that mean nothing."""
    n = int(rng.integers(80, 120)) * (3 if is_error and kind == LENGTH else 1)
    steps = rng.choice(STATEMENTS, n, p=rng.dirichlet(np.full(len(STATEMENTS), 3.0))).tolist()
    fails = is_error and kind == SERVICE and service == FAILING
    # Twelve errors in the place of up to two: neither length, statements nor pairs of neighbours are new.
    places = 3 * rng.choice(n // 3, 12, replace=False) + 1
    for at in places.tolist():
        steps[at - 1], steps[at + 1] = STATEMENTS[:2]
    for at in places[: 12 if fails else int(rng.integers(0, 3))].tolist():
        steps[at] = ERROR
    times = np.sort(rng.integers(5_000, SECONDS * 1_000, n))
    times[-1] = SECONDS * 1_000 - 1
    word = "cold" if is_error and kind == STARTUP else "warm"
    start = [f"INFO c.n.s.Server start - {word} start of module {at}" for at in range(STARTUP_LINES)]
    lines = zip([*range(STARTUP_LINES), *times.tolist()], [*start, *steps], strict=True)
    return "".join(f"16:31:{at // 1000:02}.{at % 1000:03} [XNIO-1 task-1]  abc {text}\n" for at, text in lines)


def _trust(tmp_path: Path, kind: str, seed: int) -> dict[str, dict]:
    rng = np.random.default_rng([seed, len(kind)])
    for run in range(RUNS):
        for case in ("correct", CASE):
            folder = tmp_path / "raw" / f"light-oauth2-data-{1_719_592_986 + 1_000 * run}" / case
            folder.mkdir(parents=True)
            for service in SERVICES:
                text = _log(rng, kind, case == CASE, service)
                (folder / f"light-oauth2-oauth2-{service}-1.log").write_text(text)
    root = load_tree(tmp_path / "raw", tmp_path / "out", init_lines_to_skip=STARTUP_LINES)
    train_root(root, models=MODELS, sup_holdout_fraction=0.4, if_holdout_fraction=0.4)
    names = {key: "if_metrics" if key == "if" else key for key in ("if", *MODELS)}
    return {key: json.loads((root / "metrics" / f"{name}.json").read_text())["trust"] for key, name in names.items()}


def _better(blocks: dict[str, dict]) -> set[str]:
    return {key for key, block in blocks.items() if block["verdict"].startswith("better than every simple baseline")}


@pytest.mark.parametrize("seed", LATER_SEEDS)
def test_no_model_is_better_than_the_length_that_tells_everything(tmp_path, seed):
    verdicts = {key: block["verdict"] for key, block in _trust(tmp_path, LENGTH, seed).items()}
    assert verdicts == dict.fromkeys(verdicts, "no better than the length of the logs")


@pytest.mark.parametrize("seed", LATER_SEEDS)
def test_no_model_is_better_than_start_up_words(tmp_path, seed):
    blocks = _trust(tmp_path, STARTUP, seed)
    assert not _better(blocks)
    assert {blocks[key]["verdict"] for key in SUPERVISED} == {"no better than the start-up lines"}


@pytest.mark.parametrize("seed", SEEDS)
def test_models_that_find_the_failing_service_are_better_and_no_other(tmp_path, seed):
    blocks = _trust(tmp_path, SERVICE, seed)
    # The other models do not count the words of a log, or not by service.
    assert _better(blocks) == {"excess", "drift_words"}
    for key in _better(blocks):
        assert blocks[key]["bystander_auc"]["value"] < 0.8
        assert blocks[key]["service_named"]["right"] > blocks[key]["service_named"]["of"] / 3


@pytest.mark.parametrize("seed", LATER_SEEDS)
def test_nothing_is_no_better_than_something(tmp_path, seed):
    assert not _better(_trust(tmp_path, NOTHING, seed))
