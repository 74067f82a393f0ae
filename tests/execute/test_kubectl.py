"""The command lines of kubectl, against a stand-in that refuses what kubectl refuses; no cluster is asked."""

import json
import os
import sys
from pathlib import Path

import pytest

from lo2dask.errors import InputError
from lo2dask.execute import kubernetes
from lo2dask.execute.clusterfile import KubernetesFile
from lo2dask.execute.tls import make_certificates

# The flags of each command that kubectl has and lo2dask may use.
KUBECTL = """#!{python}
import json, sys
FLAGS = {{
    "apply": {{"-f"}}, "get": {{"--ignore-not-found", "-o"}}, "delete": {{"--ignore-not-found", "--wait=false"}},
    "port-forward": {{"--address"}},
}}
arguments = sys.argv[1:]
while arguments[0] in ("--context", "--namespace"):
    del arguments[:2]
unknown = [word for word in arguments[1:] if word != "-" and word.startswith("-") and word not in FLAGS[arguments[0]]]
if unknown:
    sys.exit(f"error: unknown flag: {{unknown[0]}}")
with open({log!r}, "a") as log:
    log.write(json.dumps(arguments) + "\\n")
if arguments[0] == "get":
    print(1)
elif arguments[0] == "port-forward":
    print("Forwarding from 127.0.0.1:4321 -> 8786", flush=True)
    sys.stdin.read()
else:
    sys.stdin.read()
"""


def test_objects_are_made_waited_for_reached_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    reached = []

    def client(address: str, *_: object) -> None:
        reached.append(address)
        raise InputError("no scheduler here")

    monkeypatch.setattr(kubernetes, "_client", client)
    file = KubernetesFile(path=Path("k.yaml"), workers=1, memory_limit="2GB", image="lo2dask", context="c", name="mine")
    with pytest.raises(InputError, match="no scheduler here"):
        with kubernetes.start(file, make_certificates(tmp_path / "tls")):
            pass
    assert reached == ["tls://127.0.0.1:4321"]
    commands = [json.loads(line) for line in log.read_text().splitlines()]
    assert [command[0] for command in commands] == ["apply", "get", "port-forward", "delete"]
    assert "daskcluster/mine" in commands[-1]
