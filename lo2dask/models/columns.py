"""What model keys and the forest's options write: columns of the enhanced table by name, and sizes of samples."""

from lo2dask.errors import InputError
from lo2dask.schema import FORMER_NAMES, NUMERIC, REPRESENTATIONS

JOIN = "+"
_TOKENS = {name: bag for bag, column in REPRESENTATIONS.items() for name in (bag, column)}
_TOKENS |= {former: _TOKENS[column] for former, column in FORMER_NAMES.items()}


def read_columns(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Read ``e_words+seq_len+n_error``: at most one token column, under either of its names, and numeric columns.

    Returns its representation ("numeric" without a token column) and the numeric columns in the order given; None
    where a name is unknown or repeated, or a second token column.
    """
    names = text.split(JOIN)
    tokens = [_TOKENS[name] for name in names if name in _TOKENS]
    numeric = tuple(name for name in names if name in NUMERIC)
    if len(tokens) > 1 or len(set(numeric)) < len(numeric) or len(tokens) + len(numeric) < len(names):
        return None
    return (tokens[0] if tokens else "numeric"), numeric


def read_max_samples(text: str) -> str | int | float:
    """Read ``auto``, a count of rows (``256``) or a share of them (``0.5``).

    Raises
    ------
    InputError : it is none of them.
    """
    if text == "auto":
        return text
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if 0 < value <= 1 and ("." in text or "e" in text.lower()):
        return value
    if value >= 1 and value == int(value):
        return int(value)
    raise InputError(f"--if-max-samples: {text!r} is no number of rows; give auto, a count (256) or a share (0.5)")
