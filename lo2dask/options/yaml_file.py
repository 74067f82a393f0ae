"""Reads the small YAML files that a user writes: configuration, cluster and mask files."""

from pathlib import Path
from typing import Any

from lo2dask.errors import InputError

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
# Aliases count with all that they stand for: nine lines may stand for a billion nodes.
MAX_NODES = 10_000


def read_yaml(path: Path, option: str) -> Any:
    """Return the content of a YAML file in plain types; None for an empty one.

    Size, depth and number of nodes are checked before anything is built.

    Raises
    ------
    InputError : it cannot be read, is not YAML, exceeds a limit, or has a key twice; names the option and the file.
    """
    import yaml

    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{option} {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{option} {path}: is larger than 1 MiB; is it the right file?")
    try:
        text = data.decode("utf-8-sig")
        problem = _limit_problem(yaml.parse(text, Loader=yaml.SafeLoader))
        if not problem:
            return yaml.load(text, Loader=_loader())
    # A date or number that Python refuses is a ValueError; so is text that is not UTF-8.
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise InputError(f"{option} {path}: not valid YAML: {_yaml_message(error)}") from error
    raise InputError(f"{option} {path}: {problem}")


def _limit_problem(events: Any) -> str:
    """Return which limit a stream of YAML events exceeds; "" if none. Nothing is kept but counts."""
    import yaml

    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    nodes = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                return f"the alias *{event.anchor} stands inside its own anchor"
            nodes += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.NodeEvent):
            nodes += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, nodes))
            elif event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = nodes - before + 1
        if len(open_nodes) > MAX_DEPTH:
            return f"is nested more than {MAX_DEPTH} levels deep"
        if nodes > MAX_NODES:
            return f"has more than {MAX_NODES:,} values (aliases count with all that they stand for)"
    return ""


def _loader() -> Any:
    """Return a safe loader of two differences.

    A mapping with one key twice, of which YAML itself keeps the last, is refused; 1:30, which YAML 1.1 takes as 90
    (base 60) and YAML 1.2 no longer does, is text.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> Any:
            """Refuse a key that is given twice."""
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        raise yaml.MarkedYAMLError(problem=f"{key.value!r} is given twice", problem_mark=key.start_mark)
                    seen.add(key.value)
            return node

        def construct_number(self, node: Any) -> Any:
            """Build a number; one in base 60 is text."""
            if ":" in node.value:
                return self.construct_scalar(node)
            is_float = node.tag.endswith("float")
            return self.construct_yaml_float(node) if is_float else self.construct_yaml_int(node)

    for kind in ("int", "float"):
        Loader.add_constructor(f"tag:yaml.org,2002:{kind}", Loader.construct_number)
    return Loader


def _yaml_message(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', None) or 'cannot be read'}"
