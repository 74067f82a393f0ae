from pathlib import Path

import pytest
from explanation.made_root import make_root

from lo2dask.commands.explain import explain
from lo2dask.execute.session import Session
from lo2dask.options import ExplainOptions
from reporting.hostile import IMAGE, SCRIPT


@pytest.fixture(scope="session")
def hostile_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An explained folder whose error cases log markup."""
    hostile = f" {SCRIPT.replace(' ', '_')} {IMAGE} \x1b[31mred"
    layout = make_root(tmp_path_factory.mktemp("hostile"), ("if", "event_lr_words", "event_lof_words"), 2, hostile)
    explain(ExplainOptions(root=layout.root, nn_source="event_lr_words"), Session.serial())
    return layout.root
