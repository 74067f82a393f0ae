"""The documents keep up with the program: the reference, the commands they show, the files they point to."""

import dataclasses
import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import click
import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lo2dask import raw_line, schema
from lo2dask.api.glossary import BY_NAME, TABLES
from lo2dask.cli.main import all_commands
from lo2dask.cli.options import OptionsCommand, flags
from lo2dask.schema import NUMERIC, REPRESENTATIONS
from tests.trees import load_tree, make_tree

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").rglob("*.md"))
DOCUMENTS = ("README.md", "ANLEITUNG.md", "cluster/README.md", *PAGES)
COMMANDS = "docs/reference/commands.md"


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def shown_commands(name: str) -> list[list[str]]:
    """Every command line of the program in a document's code blocks, in words."""
    found = []
    for block in re.findall(r"```bash\n(.*?)```", text(name), flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;|\|", line):
                words = shlex.split(part, comments=True)
                while words and "=" in words[0] and not words[0].startswith("-"):
                    words = words[1:]
                if words[:1] == ["lo2dask"]:
                    found.append(words[1:])
    return found


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """scripts/make_reference.py as a module."""
    spec = importlib.util.spec_from_file_location("make_reference", REPOSITORY / "scripts" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_current(maker: ModuleType) -> None:
    for page in maker.PAGES:
        old = text(f"docs/reference/{page}.md")
        assert maker.updated(page, old) == old, "run: python scripts/make_reference.py"


def test_a_stale_reference_would_be_seen(maker: ModuleType) -> None:
    stale = text(COMMANDS).replace("`--seed N`", "`--sead N`")
    assert maker.updated("commands", stale) != stale


def test_every_column_of_every_table_is_documented() -> None:
    """The tables of the schema module, and what a finished folder has beside them."""
    written = {name for name, one in vars(schema).items() if isinstance(one, pa.Schema)}
    internal = {"MANIFEST", "FEATURES"}
    known = [note.schema for note in TABLES]
    for name in written - internal:
        fields = set(getattr(schema, name).names)
        assert any(fields <= set(one.names) for one in known), name
    for note in TABLES:
        assert list(note.columns) == note.schema.names
        for name, column in note.columns.items():
            assert len(column.meaning) > 5, (note.name, name)
            assert f"| `{name}` | `" in text("docs/reference/tables.md"), name


def test_every_feature_has_a_unit() -> None:
    for name in (*NUMERIC, *REPRESENTATIONS.values()):
        assert BY_NAME["lo2_sequences_enhanced"].columns[name].unit, name


def test_every_command_is_documented() -> None:
    for name in all_commands():
        assert f"| `lo2dask {name}" in text(COMMANDS), name


def test_every_command_and_option_has_help() -> None:
    for name, command in all_commands().items():
        assert command.help, name
        for param in command.params:
            if isinstance(param, click.Option):
                assert param.help, f"{name} {param.name}"
        if isinstance(command, OptionsCommand):
            for field in dataclasses.fields(command.kind):
                assert len(field.metadata["help"]) > 10, f"{name} {field.name}"


def test_every_option_is_documented() -> None:
    reference = text(COMMANDS)
    for command in all_commands().values():
        if isinstance(command, OptionsCommand):
            for field in dataclasses.fields(command.kind):
                name = field.name.upper() if field.metadata.get("argument") else flags(field, command.kind)
                assert f"| `{name}" in reference, f"{command.name} {name}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_commands_shown_exist_and_parse(name: str) -> None:
    for words in shown_commands(name):
        if words[0].startswith("-"):
            continue
        known = all_commands()
        length = 1 if words[0] in known else 2
        command = known.get(" ".join(words[:length]))
        assert command is not None, words
        with command.make_context(words[0], list(words[length:]), resilient_parsing=False) as context:
            assert context.params is not None


def own_words(name: str) -> str:
    """A document without the command lines of other programs: kubectl, sbatch, Dask's own."""
    if name != "cluster/README.md":
        return text(name)
    prose = re.sub(r"```.*?```", "", text(name), flags=re.DOTALL)
    foreign = r"`(?:helm|kubectl|sbatch|ssh|python3|pip|dask|docker|/shared)[ /][^`]*`"
    return re.sub(foreign, "", prose)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_flags_mentioned_in_the_text_exist(name: str) -> None:
    """A flag in a line of prose or a table is one of the program, or the document says that it is gone or foreign."""
    known = {flag for command in all_commands().values() for param in command.params for flag in param.opts}
    known |= {flag for command in all_commands().values() for param in command.params for flag in param.secondary_opts}
    known |= {"--help", "--help-all", "--version"}
    foreign = {"--check", "--dist", "--report-", "--if-", "--sup-holdout-", "--list-models", "--no-deps", "--notebooks"}
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", own_words(name)))
    assert mentioned <= known | foreign, sorted(mentioned - known - foreign)


@pytest.mark.parametrize("name", [*DOCUMENTS, "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(name: str) -> None:
    # A mask in a cell of code looks like a link.
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", re.sub(r"`[^`\n]*`", "", text(name))):
        assert ((REPOSITORY / name).parent / target.split("#")[0]).exists(), target


def test_no_absolute_path_of_a_machine() -> None:
    for name in (*DOCUMENTS, "CHANGELOG.md", "environment.yml", ".ci/run", "CITATION.cff", "mkdocs.yml"):
        assert not re.search(r"(?<![\w.~$}])/(home|root|work|Users)/", text(name)), name


def test_the_conda_environment_fits_the_package() -> None:
    """It has each dependency with the same bound, by the name that it has in conda-forge, as pip adds none."""
    environment = yaml.safe_load(text("environment.yml"))
    *entries, by_pip = environment["dependencies"]
    renamed = {"dask[dataframe]": "dask-core", "matplotlib": "matplotlib-base", "xgboost": "py-xgboost"}
    needed = {
        renamed.get(name, name) + bound
        for name, bound in re.findall(r'^    "([^">]+)(>=[^";]+)', text("pyproject.toml"), re.MULTILINE)
        if name != "xgboost-cpu"
    }
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert len(needed) > 20
    assert {*entries, *by_pip["pip"]} - needed == {"python=3.11", "pip", "llvm-openmp"}
    assert needed <= {*entries, *by_pip["pip"]}


def test_the_readme_is_short() -> None:
    assert len(text("README.md").split()) <= 900


def test_the_changelog_has_the_version() -> None:
    import tomllib

    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert f"## {version}" in text("CHANGELOG.md")


def test_the_ways_to_put_raw_lines_together_agree(tmp_path: Path) -> None:
    """The SQL and the polars expression of the docs give what raw_line does: the stripped lines of the logs."""
    raw = make_tree(tmp_path / "raw", runs=1, scale=0.01)
    events = load_tree(raw, tmp_path / "out", save_events=True, trim_init_lines=False) / "lo2_events.parquet"
    section = text("docs/tables.md").partition("## The raw line again")[2]
    (sql,) = re.findall(r"```sql\n(.*?)```", section, re.S)
    code = re.findall(r"```python\n(.*?)```", section, re.S)[1].partition("print(")[0]
    sql = sql.replace("'result/lo2_events.parquet", f"'{events}").replace("LIMIT 1", "")
    by_duckdb = [row[0] for row in duckdb.sql(sql).fetchall()]
    scope: dict[str, object] = {"pl": polars}
    exec(code, scope)
    by_polars = polars.scan_parquet(events).select(scope["line"].alias("line")).collect()["line"].to_list()
    ours = raw_line(pq.read_table(events)).to_pylist()
    logs = (path.read_text().split("\n") for path in raw.rglob("*oauth2-oauth2-*.log"))
    kept = sorted(line.strip() for log in logs for line in log if line.strip())
    assert sorted(by_duckdb) == sorted(by_polars) == sorted(ours) == kept
