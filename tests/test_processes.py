"""Pools without Dask: their processes go with the process that made them."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

PARENT = """
import time
from lo2dask.processes import process_pool

if __name__ == "__main__":
    pool = process_pool(2)
    assert list(pool.map(abs, [-1, 2])) == [1, 2]
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)])
def test_no_process_outlives_a_killed_parent(how: signal.Signals, tmp_path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert children
    parent.send_signal(how)
    parent.wait(10)
    parent.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


POOL = "lo2dask.processes.process_pool(1).submit(abs, 1).result()"
CALLS = [
    "lo2dask.load(lo2dask.LoadOptions(root=Path(sys.argv[1]), output_dir=Path(sys.argv[2]), workers=1))",
    POOL,
    f"for _ in range(1):\n    {POOL}",
]


@pytest.mark.parametrize("call", [pytest.param(CALLS[0], marks=pytest.mark.thorough), *CALLS[1:]])
def test_a_script_without_the_main_guard_is_told_in_one_line(call: str, tmp_path: Path, tiny_tree: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nfrom pathlib import Path\nimport lo2dask.processes\n\n{call}\n")
    words = [sys.executable, str(script), str(tiny_tree), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert 'the script needs `if __name__ == "__main__":` before this call' in done.stderr.splitlines()[-1]
    assert len(done.stderr.splitlines()) < 60


@pytest.mark.parametrize(
    "guard",
    [
        'if __name__ == "__main__":\n    {}',
        'def main():\n    {}\nif "__main__" == __name__:\n    main()',
        'try:\n    if __name__ == "__main__":\n        {}\nfinally:\n    pass',
    ],
)
def test_a_script_with_a_guard_runs(guard: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nfrom pathlib import Path\nimport lo2dask.processes\n\n{guard.format(POOL)}\n")
    done = subprocess.run(
        [sys.executable, str(script), "", str(tmp_path / "out")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
