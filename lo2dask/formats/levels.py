"""Levels as canonical lines have them: upper case, few names for one thing."""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

ERRORS = ("ERROR", "FATAL", "SEVERE", "CRITICAL", "ALERT", "EMERG", "PANIC", "FAILURE")
LEVELS = ("TRACE", "DEBUG", "INFO", "NOTICE", "WARN", *ERRORS)
_OTHERS = {
    "WARNING": "WARN", "ERR": "ERROR", "CRIT": "CRITICAL", "INFORMATION": "INFO", "EMERGENCY": "EMERG",
    "VERBOSE": "TRACE", "FINEST": "TRACE", "FINER": "TRACE", "FINE": "DEBUG", "CONFIG": "DEBUG", "DPANIC": "PANIC",
    "T": "TRACE", "V": "TRACE", "D": "DEBUG", "I": "INFO", "W": "WARN", "E": "ERROR", "F": "FATAL",
    # Apache
    **{f"TRACE{n}": "TRACE" for n in range(1, 9)},
    # MongoDB
    **{f"D{n}": "DEBUG" for n in range(1, 6)},
    # bunyan and pino
    "10": "TRACE", "20": "DEBUG", "30": "INFO", "40": "WARN", "50": "ERROR", "60": "FATAL",
    # syslog
    "7": "DEBUG", "6": "INFO", "5": "NOTICE", "4": "WARN", "3": "ERROR", "2": "CRITICAL", "1": "ALERT", "0": "EMERG",
}  # fmt: skip
KNOWN = {name: name for name in LEVELS} | _OTHERS
_WORDS = [name for name in KNOWN if len(name) > 2 and name not in ("FAILURE", "CONFIG")]


def _any_of(words: Iterable[str]) -> str:
    # A longer word before its own begin, and those that begin alike side by side, which RE2 then joins: one of the
    # programs for a header would else be too large for its fast way.
    return "|".join(sorted(words, reverse=True))


# Level words as they stand in lines: all in upper case, all in lower case, or with a capital; nothing else, or words of
# messages would be levels.
WORD = _any_of(form for word in _WORDS for form in (word, word.lower(), word.capitalize()))
UPPER_WORD = _any_of((*_WORDS, "FAILURE"))


def normalise_levels(levels: pa.Array, own: Mapping[str, str] | None = None) -> pa.Array:
    """Return levels (string) as canonical ones, "" where one is not known; ``own`` maps further ones, as written."""
    coded = levels.dictionary_encode()
    names = [_normalise(text or "", own or {}) for text in coded.dictionary.to_pylist()]
    return pc.fill_null(pa.array(names, pa.string()).take(coded.indices), "")


def status_levels(digits: pa.Array) -> pa.Array:
    """Return levels of the first digits of statuses of HTTP: a server's fault is an error, a client's a warning."""
    coded = digits.dictionary_encode()
    levels = [{"": "", "4": "WARN", "5": "ERROR"}.get(digit, "INFO") for digit in coded.dictionary.to_pylist()]
    return pc.fill_null(pa.array(levels, pa.string()).take(coded.indices), "")


def _normalise(text: str, own: Mapping[str, str]) -> str:
    mapped = str(own.get(text, text)).strip("[]<>(): ").upper()
    return KNOWN.get(mapped, "")
