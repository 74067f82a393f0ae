import shutil
from pathlib import Path

import pytest
from explanation.made_root import CASES, FIRST_RUN, LAST_RUN, make_root

from lo2dask.commands.explain import explain
from lo2dask.execute.session import Session
from lo2dask.models.runs import RUNS
from lo2dask.options import ExplainOptions
from lo2dask.tables.layout import Layout
from reporting.hostile import IMAGE, SCRIPT
from reporting.made_tables import run, write_findings, write_rows

HOSTILE = f"{SCRIPT} {IMAGE} \x1b[31mred"
FLAGGED = [(run, case) for run in (LAST_RUN, FIRST_RUN) for case in CASES[1:]]
NORMALS = [(FIRST_RUN, "correct"), (LAST_RUN, "correct")]


@pytest.fixture(scope="session")
def explained_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An explained folder whose error cases log markup, without a table of the detector."""
    hostile = f" {SCRIPT.replace(' ', '_')} {IMAGE} \x1b[31mred"
    layout = make_root(tmp_path_factory.mktemp("hostile"), ("if", "event_lr_words", "event_lof_words"), 2, hostile)
    explain(ExplainOptions(root=layout.root, nn_source="event_lr_words"), Session.serial())
    return layout.root


@pytest.fixture(scope="session")
def hostile_root(explained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with findings, whose texts are markup too."""
    root = tmp_path_factory.mktemp("found") / "out"
    shutil.copytree(explained_root, root)
    write_findings(Layout(root), FLAGGED, NORMALS, HOSTILE)
    for model in ("if", "event_lr_words", "event_lof_words"):
        write_rows(root / f"{model}_runs.parquet", [run(case, normal=False) for case in FLAGGED], RUNS)
    return root
