"""What logs say: the injected error, start-up lines, the clock, threads and identifiers."""

import csv
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from lo2dask.domain import CORRECT, ERROR_CASES, SERVICES
from lo2dask.options import SynthOptions
from lo2dask.synthesis import identifiers, write_tree
from lo2dask.synthesis.cases import error_case
from lo2dask.synthesis.kinds import MIXES
from lo2dask.synthesis.schedule import clock_texts, sequential_starts
from lo2dask.synthesis.service_log import LogSpec, drawn_kinds, service_log
from lo2dask.synthesis.streams import stream
from lo2dask.synthesis.timeline import plan_runs

from .conftest import LINE, contents

START = 1_719_592_186
CORRECT_CODES = {"ERR12029", "ERR10010", "ERR12040"}


def make_log(case: str, service: str, scale: float = 0.3, *, is_first: bool = False) -> bytes:
    return service_log(LogSpec(5, "run", case, service, scale, START, 60 if case == CORRECT else 20, is_first))


def codes(log: bytes) -> set[str]:
    return {code.decode() for code in re.findall(rb'"code":"(ERR\d+)"', log)}


@pytest.mark.parametrize(
    "case", ["register_client_404_no_user", "get_user_404_no_user", "register_user_400_no_password"]
)
def test_the_demo_has_errors_enough_to_stand_out(case: str, tmp_path: Path) -> None:
    """An error over the threshold of `excess`, which is 3, is the one that a finding names."""
    log = make_log(case, error_case(case).service, SynthOptions(out=tmp_path).scale)
    assert log.count(f'"code":"{error_case(case).code}"'.encode()) > 3


def test_cases_are_those_of_the_data_set(real_slice: Path) -> None:
    rows = list(csv.DictReader((real_slice / "errors.csv").open()))
    assert ERROR_CASES == tuple(sorted(row["test_case"] for row in rows))
    for row in rows:
        case = error_case(row["test_case"])
        logged = "\n".join(case.request.lines)
        assert (case.service, case.code) == (row["service"], row["code"])
        assert f'"statusCode":{row["status"]},"code":"{row["code"]}","message":"{row["message"]}"' in logged
        path = re.sub(r"\{\w+\}", "", row["path"])
        assert path in logged


@pytest.mark.parametrize("name", ERROR_CASES)
def test_error_case_logs_its_error_among_correct_traffic(name: str) -> None:
    case = error_case(name)
    log = make_log(name, case.service)
    lines = log.splitlines()
    failing = sum(f'"code":"{case.code}"'.encode() in line for line in lines)
    assert 0 < failing < len(lines) * 0.25
    others = {kind.name for kind in MIXES[case.service].kinds} - {case.displaces}
    assert others
    assert codes(log) <= {case.code} | CORRECT_CODES
    assert case.displaces in {kind.name for kind in MIXES[case.service].kinds}


@pytest.mark.parametrize("service", SERVICES)
def test_correct_traffic_logs_only_its_own_errors(service: str) -> None:
    expected = {"client": {"ERR10010"}, "refresh-token": {"ERR12029"}, "token": {"ERR12029", "ERR12040"}}
    assert codes(make_log(CORRECT, service, 1.0)) == expected.get(service, set())


@pytest.mark.parametrize("service", SERVICES)
def test_other_services_do_not_name_the_error(service: str) -> None:
    case = error_case("register_user_400_no_password")
    if service != case.service:
        assert case.code not in codes(make_log(case.name, service, 1.0))


def test_error_shows_in_the_smallest_logs() -> None:
    for name in ERROR_CASES:
        case = error_case(name)
        for run in range(3):
            log = service_log(LogSpec(run, "run", name, case.service, 0.01, START, 20, is_first=False))
            assert case.code in codes(log)


def test_startup_tells_the_first_case_and_only_within_100_lines() -> None:
    for service in SERVICES:
        first = make_log(CORRECT, service, 1.0, is_first=True).splitlines()
        assert any(b"registered for" in line for line in first[:100])
        assert not any(b"registered for" in line for line in first[100:])
        assert b"registered for" not in make_log(CORRECT, service, 1.0)
    later = make_log(CORRECT, "token", 1.0, is_first=True).splitlines()[100:]
    assert any(b"status.yml" in line for line in later)


@pytest.mark.parametrize("name", ERROR_CASES)
def test_error_case_is_drawn_in_the_service_that_it_calls_and_in_no_other(name: str) -> None:
    for service in SERVICES:
        drawn = drawn_kinds(LogSpec(5, "run", name, service, 0.1, START, 20, False))
        assert (name in drawn) == (service == error_case(name).service)


@pytest.mark.parametrize("service", SERVICES)
def test_under_the_load_of_correct_a_service_that_is_not_called_carries_no_trace(service: str) -> None:
    name = "update_user_404_no_user" if service != "user" else "delete_client_404_no_client"

    def shares(case: str) -> dict[str, float]:
        drawn = Counter[str]()
        for seed in range(40):
            drawn.update(drawn_kinds(LogSpec(seed, "run", case, service, 1.0, START, 60, False, is_steady=True)))
        return {kind: count / drawn.total() for kind, count in drawn.items()}

    correct, error = shares(CORRECT), shares(name)
    assert error.keys() == correct.keys()
    assert max(abs(error[kind] - share) for kind, share in correct.items()) < 0.02


def test_v1_starts_with_correct_and_v2_with_any_case(tmp_path: Path) -> None:
    v1 = plan_runs(SynthOptions(out=tmp_path, runs=20))
    assert {run.cases[0].name for run in v1} == {CORRECT}
    v2 = plan_runs(SynthOptions(out=tmp_path, runs=20, layout="v2"))
    assert len({run.cases[0].name for run in v2}) > 5
    assert all(20 <= case.seconds <= 180 for run in v2 for case in run.cases)
    assert all(run.cases[0].is_first and not any(case.is_first for case in run.cases[1:]) for run in v1 + v2)


def test_draw_of_a_run_does_not_depend_on_the_number_of_runs(tmp_path: Path) -> None:
    few, many = (plan_runs(SynthOptions(out=tmp_path, runs=n)) for n in (2, 9))
    assert [case.name for run in few for case in run.cases] == [case.name for run in many[:2] for case in run.cases]
    assert len({run.cases[1].name for run in many}) > 3


@pytest.mark.parametrize("layout", ["v1", "v2", "guide", "sample"])
def test_a_run_and_a_file_cross_midnight(tmp_path: Path, layout: str) -> None:
    options = SynthOptions(out=tmp_path / "tree", layout=layout, scale=0.01)
    runs = plan_runs(options)
    crossing = [
        run for run in runs if datetime.fromtimestamp(run.start, UTC).day != datetime.fromtimestamp(run.end, UTC).day
    ]
    assert crossing
    write_tree(options)
    stamps = {
        path: re.findall(rb"^(\d\d):\d\d:\d\d\.", log, re.M)
        for path, log in contents(options.out)
        if "-oauth2-" in path
    }
    assert any(hours and hours[0] == b"23" and hours[-1] == b"00" for hours in stamps.values())


def test_epoch_is_the_end_in_v1_and_the_start_in_v2(tmp_path: Path) -> None:
    for layout in ("v1", "v2"):
        for run in plan_runs(SynthOptions(out=tmp_path, layout=layout)):
            epoch = int(run.name.rsplit("-" if layout == "v1" else "_", 1)[1])
            assert epoch == (run.end if layout == "v1" else run.start)
            assert run.end - run.start >= 800 or layout == "v2"
            assert max(case.start + case.seconds for case in run.cases) <= run.end


def test_lines_follow_the_grammar() -> None:
    for service in SERVICES:
        log = make_log(CORRECT, service, is_first=True)
        assert log.endswith(b"\n")
        for line in log.splitlines():
            event = LINE.match(line)
            assert event or not line[:2].isdigit(), line
            if event and event[2].startswith(b"XNIO"):
                assert re.fullmatch(rb"[A-Za-z0-9_-]{22}", event[3])
            elif event:
                assert event[3] == b""


def test_times_rise_and_a_thread_serves_one_request_at_a_time() -> None:
    events = [event for event in map(LINE.match, make_log(CORRECT, "token").splitlines()) if event]
    times = [event[1] for event in events]
    assert times == sorted(times)
    seen, current = defaultdict(set), {}
    for event in events:
        thread, request = event[2], event[3]
        if request and current.get(thread) != request:
            assert request not in seen[thread]
            seen[thread].add(request)
            current[thread] = request
    assert len(seen) == MIXES["token"].threads


def test_logs_of_a_running_service_may_begin_with_continuation_lines() -> None:
    heads = [
        service_log(LogSpec(seed, "r", "delete_token_404", "client", 0.3, START, 20, False))[:3] for seed in range(20)
    ]
    assert any(head[:1] == b"\t" for head in heads)


def test_identifiers() -> None:
    rng = stream("identifiers")
    uuid = rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
    assert all(re.fullmatch(uuid + rb"[0-9a-f]{12}", text) for text in identifiers.uuids(rng, 100))
    assert all(re.fullmatch(uuid + rb"[0-9a-f]{8}", text) for text in identifiers.uuids(rng, 100, 32))
    assert all(re.fullmatch(rb"[0-9a-f]{8}", text) for text in identifiers.hex_ids(rng, 100))
    assert all(re.fullmatch(rb"[\w-]{21}[AQgw]", text) for text in identifiers.codes(rng, 100))
    assert all(re.fullmatch(rb"[\w-]{43}", text) for text in identifiers.codes(rng, 100, 43))
    assert all(re.fullmatch(rb"Basic [\w+/]{79}=", text) for text in identifiers.credentials(rng, 100))
    assert len(set(identifiers.uuids(rng, 1000))) == 1000


def test_clock() -> None:
    times = np.array([0, 86_399_999_999, 86_400_000_000, 59_385_084_999])
    assert clock_texts(times) == [b"00:00:00.000", b"23:59:59.999", b"00:00:00.000", b"16:29:45.084"]


def test_busy_threads_work_faster_instead_of_late() -> None:
    durations, threads = np.full(100, 10.0), np.zeros(100, dtype=np.int64)
    starts, pace = sequential_starts(durations, threads, (0.0, 500.0), stream("busy"))
    assert np.all(pace < 0.5)
    assert np.all(np.diff(starts) >= durations[:-1] * pace[:-1] - 1e-6)
    assert starts[-1] + durations[-1] * pace[-1] <= 500.0 + 1e-6
