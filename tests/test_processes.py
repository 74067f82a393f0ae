"""Pools without Dask: their processes go with the process that made them."""

import signal
import subprocess
import sys

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


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
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
