"""Each check finds what is planted into cases made by hand, says so in words, and accuses nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from lo2dask.audit.cases import Cases
from lo2dask.audit.checks import (
    CLEAR,
    DRAWS,
    LEAK,
    TITLES,
    UNKNOWN,
    Check,
    advice,
    judge,
    run_checks,
    service_values,
)
from lo2dask.audit.duplicates import find_duplicates
from lo2dask.audit.page import AuditPage, render, say_check, say_p, say_verdict, say_where
from lo2dask.audit.permute import draw_labels
from lo2dask.audit.words import (
    Bound,
    StatementWords,
    WordTables,
    bystanders,
    startup_words,
    statement_words,
)
from tests.audit.made import N, anomalous, make_cases

KNOWN = StatementWords(
    sparse.csr_matrix(np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.int8)),
    ("hello", "world", "boot", "more"),
)


def look(cases: Cases, limit: int = 0) -> dict[str, Check]:
    labels = draw_labels(cases.run, cases.normal, DRAWS, 1)
    keep, bound = bystanders(cases, labels), Bound(limit, 1)
    tables = WordTables(
        tuple(startup_words(cases, keep, KNOWN, bound)), tuple(statement_words(cases, keep, KNOWN, bound))
    )
    return {check.name: check for check in run_checks(cases, find_duplicates(cases, 1), tables, {}, labels)}


def accused(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.state == LEAK}


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_accused_where_labels_mean_nothing(seed: int) -> None:
    checks = look(make_cases(seed))
    assert accused(checks) == set()
    assert list(checks) == list(TITLES)
    assert say_verdict(tuple(checks.values())) == "nothing but the errors is seen to tell the classes apart"


@pytest.mark.parametrize("name", ["length", "duration", "size"])
@pytest.mark.parametrize("factor", [0.4, 3.0])
def test_a_figure_of_one_service_is_found(name: str, factor: float) -> None:
    cases = make_cases()
    cases.figures[name][anomalous(cases, 1)] *= factor
    checks = look(cases)
    assert accused(checks) == {name}
    assert checks[name].where == "token"
    assert checks[name].auc == (1.0 if factor > 1 else 0.0)
    assert ("shorter" in say_where(checks[name]) or "smaller" in say_where(checks[name])) == (factor < 1)


def test_the_order_in_the_run_is_found() -> None:
    cases = make_cases()
    start = cases.figures["start"]
    start[:] = np.repeat(np.tile([0, 1, 2, 3], 10) * 60_000.0 + np.repeat(np.arange(10), 4) * 86_400_000, 2)
    assert "order" in accused(look(cases))


def test_a_later_hour_is_found() -> None:
    cases = make_cases()
    cases.figures["start"][~cases.normal[cases.of_sequence]] += 6 * 3_600_000
    checks = look(cases)
    assert accused(checks) == {"order", "time"}
    assert checks["time"].where == "time of day"


def test_a_service_that_one_class_lacks_is_found() -> None:
    cases = make_cases()
    kept = np.flatnonzero(~anomalous(cases, 0))
    cases = replace(
        cases,
        of_sequence=cases.of_sequence[kept],
        service=cases.service[kept],
        figures={name: values[kept] for name, values in cases.figures.items()},
        bags=cases.bags[kept],
        statements=cases.statements[kept],
        startup=cases.startup[kept],
    )
    checks = look(cases)
    assert accused(checks) == {"services"}
    assert checks["services"].where == "code"
    assert service_values(cases)[0].tolist() == [1, 1, 2]


def test_copies_of_one_class_are_found_and_counted() -> None:
    cases = make_cases()
    cases.bags[anomalous(cases, 1)] = 7
    checks = look(cases)
    assert accused(checks) == {"duplicates"}
    assert checks["duplicates"].auc == 1.0
    assert checks["duplicates"].where == "4 of 16 held-out logs equal one of the training part"


def test_copies_of_both_classes_accuse_nobody() -> None:
    cases = make_cases()
    cases.bags[cases.service == 1] = 7
    assert accused(look(cases)) == set()


def test_agreement_of_equal_logs_is_that_of_all_pairs() -> None:
    cases = make_cases()
    cases.bags[:] = np.random.default_rng(2).integers(0, 6, N)
    labels = draw_labels(cases.run, cases.normal, 5, 1)
    run = cases.run[cases.of_sequence]
    pairs = [
        (cases.of_sequence[i], cases.of_sequence[j])
        for i in range(N)
        for j in range(i)
        if cases.bags[i] == cases.bags[j] and cases.service[i] == cases.service[j] and run[i] != run[j]
    ]
    found = find_duplicates(cases, 1)
    assert found.pairs == len(pairs)
    for row, agreement in enumerate(found.agreement(labels)):
        assert agreement == pytest.approx(np.mean([labels[row, i] == labels[row, j] for i, j in pairs]))


def test_short_logs_are_no_copies() -> None:
    cases = make_cases()
    cases.bags[:] = 7
    cases.figures["length"][:] = 3
    assert find_duplicates(cases, 1).pairs == 0


@pytest.mark.parametrize("name", ["startup", "word"])
def test_a_word_of_one_class_is_found(name: str) -> None:
    cases = make_cases()
    table = (cases.startup if name == "startup" else cases.statements).toarray()
    column = 2 if name == "startup" else 1
    table[:, column] = anomalous(cases, 0)
    changed = sparse.csr_matrix(table)
    checks = look(replace(cases, startup=changed) if name == "startup" else replace(cases, statements=changed))
    assert accused(checks) == {name}
    word = "ready" if name == "startup" else "world"
    assert checks[name].where == f'code: "{word}" in 100 % of anomalous and 0 % of normal logs'


def test_the_words_of_errors_and_of_continuation_lines_are_no_leak() -> None:
    cases = make_cases()
    statements, startup = cases.statements.toarray(), cases.startup.toarray()
    statements[:, 2] = statements[:, 3] = startup[:, 1] = anomalous(cases, 0)
    cases = replace(cases, statements=sparse.csr_matrix(statements), startup=sparse.csr_matrix(startup))
    assert accused(look(cases)) == set()


def test_a_log_with_a_rare_error_is_no_bystander() -> None:
    cases = make_cases()
    statements = cases.statements.toarray()
    statements[:, 2] = 0
    statements[[0, 4], 2] = 1
    cases = replace(cases, statements=sparse.csr_matrix(statements))
    keep = bystanders(cases, draw_labels(cases.run, cases.normal, 100, 1))
    assert np.flatnonzero(~keep).tolist() == [0, 4]


def test_a_service_whose_errors_tell_the_classes_is_no_bystander() -> None:
    cases = make_cases()
    statements = cases.statements.toarray()
    statements[:, 2] = statements[:, 1] = anomalous(cases, 0)
    cases = replace(cases, statements=sparse.csr_matrix(statements))
    keep = bystanders(cases, draw_labels(cases.run, cases.normal, 100, 1))
    assert (keep == (cases.service == 1)).all()
    assert accused(look(cases)) == set()


def test_a_bound_leaves_words_out_by_seed() -> None:
    words = tuple(f"w{number}" for number in range(50))
    assert Bound(0, 1).choose(words).tolist() == list(range(50))
    assert len(Bound(10, 1).choose(words)) == 10
    assert Bound(10, 1).choose(words).tolist() == Bound(10, 1).choose(words).tolist()
    assert Bound(10, 1).choose(words).tolist() != Bound(10, 2).choose(words).tolist()


def test_few_cases_or_arrangements_accuse_nobody() -> None:
    cases = make_cases()
    few = replace(cases, normal=np.arange(40) < 3)
    cases.figures["length"][few.normal[cases.of_sequence]] = 9_999
    checks = look(few)
    assert {check.state for check in checks.values()} == {UNKNOWN}
    assert say_verdict(tuple(checks.values())).startswith("too few runs to tell: 3 normal and 37 anomalous cases")
    # 252 ways to choose 5 runs of 10: the least p is .004, and nine checks make .036 of it.
    by_run = look(replace(cases, normal=cases.run < 5))
    assert {check.note for check in by_run.values()} == {
        "too few runs to tell: no order of the labels reaches p .01 after Holm"
    }


def test_start_up_lines_that_were_not_kept_are_said() -> None:
    check = look(replace(make_cases(), startup=None))["startup"]
    assert check.state == UNKNOWN
    assert say_check(check).startswith("start-up text: not looked at: load kept no start-up lines")


def test_a_leak_is_told_with_figure_and_way_out() -> None:
    check = Check("length", LEAK, auc=0.08, p=0.0001, p_holm=0.001, advice=advice("length", {}))
    assert say_check(check) == (
        "length alone tells 92 % of pairs apart (AUC .92, p .001 after Holm): load with --balance-correct"
    )
    assert "LO2 v2" in advice("length", {"balance_correct": True})
    assert advice("startup", {"trim_init_lines": False}) == "load with --trim-init-lines"


def test_of_a_word_in_longer_logs_the_length_is_mended_first() -> None:
    word = Check("word", auc=0.9, p=0.0005, advice="mask it")
    assert [check.advice for check in judge([Check("length", auc=0.5, p=1.0), word])] == ["", "mask it"]
    assert judge([Check("length", auc=0.9, p=0.0005), word])[1].advice.startswith("longer logs have more words")


def test_states_follow_from_p_and_size() -> None:
    checks = [
        Check("length", auc=0.9, p=0.0005),
        Check("duration", auc=0.55, p=0.0005),
        Check("order", auc=0.9, p=0.01),
        Check("time", auc=0.9, p=0.5),
        Check("size", note="no size"),
    ]
    judged = judge(checks)
    assert [check.state for check in judged] == [LEAK, "weak", "unsure", CLEAR, UNKNOWN]
    assert say_verdict(tuple(judged)) == "1 of 5 checks tell the classes apart without any error: length"
    assert say_verdict(tuple(judged[1:])).endswith("; not certain of order in the run")


def test_p_is_written_without_its_zero() -> None:
    assert [say_p(value) for value in (0.0004, 0.0045, 0.05, 1.0)] == ["< .001", ".004", ".050", "1"]


def test_the_page_escapes_what_comes_from_the_data() -> None:
    check = Check("word", LEAK, 0.9, 0.001, 0.009, where='code: "<script>\x1b[31m"')
    page = render(AuditPage("a<b", 1, 2, 3, 1, 4, (check,)))
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "a&lt;b" in page
    assert "http" not in page.replace("http-equiv", "")
