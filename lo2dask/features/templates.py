"""Drain templates: mined once from the distinct normalised messages of the whole tree, frozen, then only matched.

Mining line by line in Python would take days, and miners per partition disagree. So each batch contributes its distinct
messages, their union is mined in sorted order by one Drain (He et al., 2017; drain3), and every message is matched
against the frozen result. Ids are given in the order of the templates' texts, so that they do not depend on anything
but the messages.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError, Lo2Error
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.registry import find_format
from lo2dask.storage import read_json, write_json

# Numbers are masked before; a class name with a digit in it is no parameter.
SETTINGS: dict[str, Any] = {
    "depth": 4,
    "sim_th": 0.4,
    "max_children": 100,
    "extra_delimiters": ["_"],
    "parametrize_numeric_tokens": False,
}
PARAMETER = "<*>"
UNSEEN = "unseen"
# Control characters that str.split() does not take for white space.
_JOINT, _ERROR, _GLUE = "\x01", "\x02", "\x03"
# Beyond this many distinct messages, and this share of all lines, the masks do not do their work.
MOST_MESSAGES = 200_000
MOST_SHARE = 0.2
# However long the logs are: one process mines them.
MOST_EVER = 2_000_000


@dataclass(frozen=True)
class Templates:
    """Frozen templates: ``ids`` and ``texts`` in order; ``exceptions`` are messages that no template matches.

    ``line_format`` is that of the lines that they were mined from.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    exceptions: dict[str, str]
    line_format: LineFormat = LO2

    def match(self, messages: Sequence[str]) -> list[str]:
        """Return the template id of each normalised message, or ``unseen``; nothing is learned."""
        return [self.exceptions.get(message) or self._match_one(message) for message in messages]

    def save(self, path: Path) -> None:
        """Write the templates as plain JSON, by rename."""
        write_json(path, self.to_plain())

    def to_plain(self) -> dict[str, Any]:
        """Return the templates as plain types."""
        ids, texts = list(self.ids), list(self.texts)
        name = self.line_format.name
        return {"settings": SETTINGS, "format": name, "ids": ids, "texts": texts, "exceptions": self.exceptions}

    @classmethod
    def load(cls, path: Path) -> "Templates":
        """Read what ``save`` wrote.

        Raises
        ------
        InputError : the file is missing or damaged.
        """
        plain = read_json(path)
        if plain is None or plain.get("settings") != SETTINGS:
            raise InputError(f"{path}: no templates of this version; enhance again: lo2dask train --phase enhancers")
        return cls.from_plain(plain)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Templates":
        """Read back what ``to_plain`` returned.

        Raises
        ------
        InputError : the line format is not known here.
        """
        line_format = find_format(plain.get("format", LO2.name))
        return cls(tuple(plain["ids"]), tuple(plain["texts"]), dict(plain["exceptions"]), line_format)

    @cached_property
    def _by_text(self) -> dict[str, str]:
        return dict(zip(self.texts, self.ids, strict=True))

    @cached_property
    def _drain(self) -> Any:
        """Build a Drain tree that holds exactly the frozen templates."""
        from drain3.drain import LogCluster

        drain = _new_drain()
        for number, text in enumerate(self.texts, 1):
            cluster = LogCluster(text.split(" "), number)
            drain.id_to_cluster[number] = cluster
            drain.add_seq_to_prefix_tree(drain.root_node, cluster)
        return drain

    def _match_one(self, message: str) -> str:
        cluster = self._drain.match(to_drain(message, self.line_format), full_search_strategy="fallback")
        return self._by_text[cluster.get_template()] if cluster else UNSEEN


def mine_templates(messages: Iterable[str], line_format: LineFormat = LO2) -> tuple[Templates, dict[str, str]]:
    """Mine the distinct messages in sorted order; return the frozen templates and each message's template id."""
    ordered = sorted(set(messages))
    drain = _new_drain()
    clusters = {message: drain.add_log_message(to_drain(message, line_format))[0].cluster_id for message in ordered}
    final = {number: cluster.get_template() for number, cluster in drain.id_to_cluster.items()}
    texts = sorted(set(final.values()))
    ids = tuple(f"e{number}" for number in range(1, len(texts) + 1))
    by_text = dict(zip(texts, ids, strict=True))
    frozen = Templates(ids, tuple(texts), {}, line_format)
    matched = dict(zip(ordered, frozen.match(ordered), strict=True))
    # Drain may fail to match a line that it was trained on (its wildcards grew later): those keep their cluster.
    exceptions = {m: by_text[final[clusters[m]]] for m, name in matched.items() if name == UNSEEN}
    return Templates(ids, tuple(texts), exceptions, line_format), matched | exceptions


def to_drain(message: str, line_format: LineFormat = LO2) -> str:
    """Join what names the statement in the code, and an error's code, into the first token that Drain sees.

    Drain branches on a message's first tokens. As "LEVEL", "logger", "method" and "-" they would be four equal tokens
    in statements that have nothing else in common, and sim_th 0.4 would merge them; as one token they keep apart what
    different statements wrote. A stack frame is one such token as a whole.
    """
    if message.startswith("at "):
        return message.replace(" ", _JOINT)
    end = line_format.find_source_end(message)
    if not end:
        return message
    error = line_format.find_error_code(message)
    source = message[:end]
    key = re.sub(" +", _JOINT, source.rstrip()) + (_ERROR + error if error else "")
    # Drain sees a space after the source; where there is none in the log, a mark is inserted.
    return f"{key}{'' if end == len(message) or source.endswith(' ') else _GLUE} {message[end:]}"


def readable(text: str) -> str:
    """Turn a template of ``to_drain`` form back into the form of the log."""
    return re.sub(f"{_GLUE} ?", "", re.sub(f"{_ERROR}[^ {_GLUE}]*", "", text)).replace(_JOINT, " ")


def check_masks(distinct: int, lines: int, examples: Iterable[str]) -> None:
    """Refuse to mine when the masks are too weak for the logs at hand.

    Raises
    ------
    Lo2Error : too many distinct messages; the message shows some and what to add.
    """
    if distinct > MOST_MESSAGES and distinct > min(MOST_SHARE * lines, MOST_EVER):
        shown = "\n  ".join(sorted(examples)[:5])
        raise Lo2Error(
            f"{distinct:,} of {lines:,} messages are still distinct after masking, too many to mine templates: add "
            f"masks for what varies in them (--mask-file; see `lo2dask masks`), for example in\n  {shown}"
        )


def _new_drain() -> Any:
    from drain3.drain import Drain

    return Drain(
        depth=SETTINGS["depth"],
        sim_th=SETTINGS["sim_th"],
        max_children=SETTINGS["max_children"],
        max_clusters=None,
        extra_delimiters=tuple(SETTINGS["extra_delimiters"]),
        param_str=PARAMETER,
        parametrize_numeric_tokens=SETTINGS["parametrize_numeric_tokens"],
    )
