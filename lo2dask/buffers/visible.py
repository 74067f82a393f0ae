"""Log text made safe to show: it is data, and must not act on a terminal or be mistaken for layout."""

import unicodedata

# Cc control, Cf format (bidirectional overrides, zero width), Cs surrogate, Co private use, Cn unassigned,
# Zl and Zp line and paragraph separators: all of them change what is seen around them, or cannot be seen.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    r"""Write characters that act instead of showing as escapes: ESC becomes ``\x1b``, a tab ``\t``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(char) if unicodedata.category(char) in UNSEEN else char for char in text)


def token_label(token: str) -> str:
    """Write a token so that its spaces can be seen at both ends: `` ab`` is ``␣ab``; an empty token is ``(empty)``."""
    shown = visible(token)
    if not shown:
        return "(empty)"
    inner = shown.strip(" ")
    left = len(shown) - len(shown.lstrip(" ")) if inner else len(shown)
    right = len(shown) - left - len(inner)
    return "␣" * left + inner + "␣" * right


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii") if ord(char) < 0x110000 else char
