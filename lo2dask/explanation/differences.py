"""What a flagged sequence has and its nearest normal one lacks, and the other way round."""

from collections.abc import Mapping

SHOWN = 20  # tokens of each kind

Bag = Mapping[str, int]


def gained_and_lost(flagged: Bag, normal: Bag, limit: int = SHOWN) -> tuple[list[str], list[str]]:
    """List the tokens that only one of the two has, most frequent first, ties by token."""
    return _only(flagged, normal, limit), _only(normal, flagged, limit)


def _only(bag: Bag, other: Bag, limit: int) -> list[str]:
    tokens = sorted((token for token in bag if token not in other), key=lambda token: (-bag[token], token))
    return tokens[:limit]
