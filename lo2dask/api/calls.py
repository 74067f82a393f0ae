"""Commands as functions: keywords or an options object, in the cluster that the user has open, or one of their own."""

import contextlib
import dataclasses
import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from lo2dask.api.folder import Folder
from lo2dask.api.notebook import showing
from lo2dask.errors import InputError, Lo2Error
from lo2dask.execute.session import Session, find_client
from lo2dask.options import CommonOptions, Options

# The cluster of the block that is open (see cluster).
_shared: ContextVar[Session | None] = ContextVar("lo2dask_session", default=None)
_FLAG = re.compile(r"--((?:no-)?[a-z][a-z0-9-]+)(?: (?=\S))?")


def as_function(name: str, module: str, attribute: str) -> Callable[..., Any]:
    """Make the function of a command: ``load(root="tree", output_dir="out", client=client)``.

    Parameters
    ----------
    name : the command's.
    module, attribute : where the function is that takes its options object.
    """
    command = getattr(importlib.import_module(module), attribute)
    parameters = inspect.signature(command).parameters
    kind: type[Options] = next(iter(parameters.values())).annotation
    takes_session = "session" in parameters

    def call(options: Any = None, *given: Any, client: Any = None, **keywords: Any) -> Any:
        """Take the command's docstring below."""
        if client is not None and not takes_session:
            raise TypeError(f"{name}() needs no cluster: leave client out")
        if client is not None and not hasattr(client, "asynchronous"):
            raise TypeError(f"{name}() takes a Dask client as client=..., not {type(client).__name__}")
        chosen = _options(name, kind, options, keywords)
        if takes_session:  # the workers of a client may have been started elsewhere
            chosen = chosen.replace(**chosen.absolute_paths())
        with _naming_keywords(kind):
            if given or not takes_session:
                return _result(command(chosen, *given), chosen)
            with _session(chosen, client) as session:
                return _result(command(chosen, session), chosen)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = _document(command.__doc__ or "", kind, takes_session)
    call.__signature__ = _signature(kind, takes_session)  # type: ignore[attr-defined]
    return call


@contextlib.contextmanager
def cluster(**keywords: Any) -> Iterator[Session]:
    """Share one cluster among the calls in the block: ``with lo2dask.cluster(workers=4): ...``.

    Parameters
    ----------
    keywords : options that every command takes, as cluster, workers, threads_per_worker, memory_limit.
    """
    with Session(CommonOptions(**keywords), serial=False) as session:
        token = _shared.set(session)
        try:
            yield session
        finally:
            _shared.reset(token)


@contextlib.contextmanager
def _session(options: Any, client: Any) -> Iterator[Session]:
    """Return the session to work in: of the client, of the block that is open, or one of the command's own."""
    shared, found = _shared.get(), client if client is not None else find_client()
    with contextlib.ExitStack() as stack:
        is_shared = client is None and shared is not None
        session = shared if is_shared and shared else stack.enter_context(Session(options, client=found))
        yield stack.enter_context(showing(session))


def _options(name: str, kind: type[Options], options: Any, keywords: Mapping[str, Any]) -> Any:
    if options is not None and not isinstance(options, Options):
        raise TypeError(f"{name}() takes keywords, as root=..., or one {kind.__name__}; not {type(options).__name__}")
    known = {field.name: field for field in dataclasses.fields(kind)}
    for keyword in keywords:
        if keyword not in known:
            close = difflib.get_close_matches(keyword, known, 1)
            raise TypeError(f"{name}() has no keyword {keyword!r}" + (f"; did you mean {close[0]}?" if close else ""))
    values = {keyword: _as_tuple(known[keyword], value) for keyword, value in keywords.items()}
    required = [name for name, field in known.items() if _is_required(field) and name not in values]
    if options is None and required:
        raise TypeError(f"{name}() needs {', '.join(f'{one}=...' for one in required)}")
    with _naming_keywords(kind):
        return kind(**values) if options is None else options.replace(**values)


def _as_tuple(field: dataclasses.Field[Any], value: Any) -> Any:
    """Take a list, or one text, for an option of several values."""
    if not str(field.type).startswith("tuple"):
        return value
    return (value,) if isinstance(value, str) else tuple(value)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _result(summary: Any, options: Any) -> Any:
    """Wrap the figures of a command that leaves an output folder, with its tables."""
    written = getattr(summary, "output", None) or getattr(summary, "root", None) or getattr(options, "output_dir", None)
    is_made = bool(options.outputs()) and hasattr(options, "cluster")
    return Folder(written, summary) if is_made and written is not None else summary


@contextlib.contextmanager
def _naming_keywords(kind: type[Options]) -> Iterator[None]:
    """Name keywords in errors, where the command line has flags."""
    names = {field.name for field in dataclasses.fields(kind)}

    def keyword(match: re.Match[str]) -> str:
        """Return the keyword of a flag."""
        name = match[1].removeprefix("no-").replace("-", "_")
        if name not in names:
            return match[0]
        if match[1].startswith("no-"):
            return f"{name}=False" + match[0][len(match[1]) + 2 :]
        return f"{name}=" if match[0].endswith(" ") else name

    try:
        yield
    except Lo2Error as error:
        told = _FLAG.sub(keyword, str(error))
        if told == str(error) or type(error) is not InputError:
            raise
        raise InputError(told) from error


def _signature(kind: type[Options], takes_session: bool) -> inspect.Signature:
    word = inspect.Parameter.KEYWORD_ONLY
    fields = [
        inspect.Parameter(
            f.name, word, default=inspect.Parameter.empty if _is_required(f) else f.default, annotation=f.type
        )
        for f in dataclasses.fields(kind)
    ]
    client = [inspect.Parameter("client", word, default=None)] if takes_session else []
    first = inspect.Parameter("options", inspect.Parameter.POSITIONAL_ONLY, default=None, annotation=kind)
    return inspect.Signature([first, *fields, *client])


def _document(text: str, kind: type[Options], takes_session: bool) -> str:
    """Add the keywords to a command's docstring."""
    lines = [f"{field.name} : {field.metadata.get('help', '')}" for field in dataclasses.fields(kind)]
    if takes_session:
        lines.append("client : a Dask client to work with; by default the one that is open, else a cluster is started")
    return f"{inspect.cleandoc(text)}\n\nParameters\n----------\n" + "\n".join(lines)
