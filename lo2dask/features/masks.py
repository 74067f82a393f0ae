"""Masks as data: what is replaced in a line before its words, trigrams and template are taken.

All patterns are RE2, which runs in linear time. They are applied in this order, to each distinct statement once. The
time, thread and correlation id of a well-formed line are masked by their position, with the same placeholders. LO2's
logs have masks without a scope alone, so that further common ones change none of their results.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.padded import as_u64, padded_text
from lo2dask.buffers.slices import encode_slices
from lo2dask.errors import InputError
from lo2dask.formats.lo2 import LO2
from lo2dask.options import fingerprint
from lo2dask.options.yaml_file import read_yaml

# A mask of the user may not be longer: RE2 compiles it to a program whose size is bounded by this.
LONGEST_PATTERN = 500
# Below this, loading compiled code takes longer than any mask.
_MANY_TEXTS = 100
OTHERS, OFF = "other formats", "off"


@dataclass(frozen=True)
class Mask:
    """One mask: RE2 ``pattern``, ``replacement`` (``\\1`` for a group), and an ``example`` that it changes.

    ``scope`` is "" (logs of every format), OTHERS (of every format but LO2's) or OFF (until a mask file names it).
    """

    name: str
    pattern: str
    replacement: str
    example: str
    scope: str = ""


# Java writes one of three spaces between a time and its half of the day.
_CLOCK, _HALF_DAY = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?", "[ \u00a0\u202f]?[AP]M\\b"
_DAY = "(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Satur|Sat|Sun)(?:day)?,? )?"
_MONTH = (
    "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_MOMENT = rf"{_CLOCK}(?:{_HALF_DAY})?"
_DATE = (
    rf"\b(?:{_DAY}{_MONTH} +\d{{1,2}}\b(?:, ?\d{{4}}\b,?)?(?: (?:at )?{_MOMENT}(?:(?: [A-Z]{{2,5}})? \d{{4}}\b)?)?"
    rf"|{_DAY}\d{{1,2}}[ /-]{_MONTH}[ /-]\d{{4}}\b(?:[ :]{_MOMENT}(?: [+-]\d{{4}}\b)?)?"
    r"|\d{4}-\d{2}-\d{2}(?:T[0-9:.]+Z?)?)"
)

# What may stand before a number, and the units that may follow it; line numbers of code (Db.java:17, Db#17) stay.
_BEFORE = r"(^#?|[^\w.:$#]|_|\W#)"
_UNIT = r"(?: ?(?:[kKMGT]?i?B|[kKMGT]?i?[bB]ytes|[mnuµ]?s|secs?|seconds?|minutes?|hours?|days?|[mh]))?"

IDENTIFIERS = (
    Mask(
        "uuid",
        r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{1,12}",
        "<UUID>",
        "96bce40c-3e1e-41df-ac31-34e16e0a46b8",
    ),
    Mask("object-hash", r"@[0-9a-f]{5,8}\b", "@<HASH>", "LightBasicAuthenticationMechanism@756fad98"),
    Mask("hex-id", r"\b[0-9a-f]{8}\b", "<HEX>", "Load:66c2c2bd"),
)
# The identifiers come first, the most frequent before the others: after them a block's texts are few.
ALL_MASKS = (
    *IDENTIFIERS,
    Mask(
        "timestamp",
        r"\b\d{4}[-/]\d{2}[-/]\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?(?:UTC|GMT|Z|[+-]\d\d:?\d\d))?)?",
        "<DATE>",
        "2026-01-02T03:04:05.678+02:00",
        OTHERS,
    ),
    Mask("e-mail", r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b", "<EMAIL>", "mail to anna@example.org", OTHERS),
    # Paths of files; those of requests stay, as they tell what was asked for.
    Mask(
        "path",
        r"((?:^|[\s=:\"'(\[,<>]))(?:(?:file|hdfs|s3a?|gs|jar):/{1,3}|/(?:bin|dev|etc|home|lib(?:64)?|mnt|opt|private|proc|"
        r"root|sbin|srv|sys|tmp|usr|Users|var|Volumes)/|[A-Za-z]:\\)[^\s\"'()\[\]<>,;]+",
        r"\1<PATH>",
        "cannot open /var/lib/shop/17.db",
        OTHERS,
    ),
    Mask("quoted", r"(?:'[^']*'|\"[^\"]*\")", "<TEXT>", "user 'anna' logged in", OFF),
    Mask("code", r"(\bcode ?= ?)[A-Za-z0-9_-]{22}", r"\1<CODE>", "code = keNUio1dQP-rs6SyE15iUw"),
    Mask(
        "pkce",
        '(["=] ?)[A-Za-z0-9_.~-]{43,128}(["&, )]|$)',
        r"\1<PKCE>\2",
        'validate( "TFmQs-RBvnnNrL3gQAU7vNJY2UyyOTs8lq15w8l_RLM", code_challenge)',
    ),
    Mask("credentials", "B(asic|earer) [A-Za-z0-9+/=._~-]+", r"B\1 <CREDENTIALS>", "Basic Zjc1MjllN2UtYWNlMC00="),
    Mask(
        "jwt", r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", "<JWT>", "eyJraWQiOiIxMDAi.eyJpc3MiOiJ1cm4.aGk"
    ),
    # A date has its time in it: it comes first, or the rest of it would stay.
    Mask("date", _DATE, "<DATE>", "Jun 28, 2024 4:29:43 PM"),
    Mask("time", rf"\b(?:{_CLOCK}{_HALF_DAY}|\d{{2}}:\d{{2}}:\d{{2}}(?:[.,]\d{{3,6}})?\b)", "<TIME>", "16:29:40.148"),
    Mask("thread", r"\[(hz\.[^\]]*thread-|XNIO-\d+ task-)\d+\]", r"[\1<NUM>]", "[XNIO-1 task-4]"),
    Mask("correlation-id", r"(\]  )[A-Za-z0-9_-]{22} ", r"\1<CID> ", "]  f3ZRcnoES_G80IVuBDezBA DEBUG"),
    Mask("address", r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "<IP>", "172.18.0.5"),
    # What a request came to, which the masks of numbers would take away.
    Mask(
        "status",
        r"(\bHTTP/\d(?:\.\d)?\"? |\b[sS]tatus(?:_?[cC]ode)?\"?[:=] ?\"?)([1-5]\d\d)"
        r"([\"',;)\]}\s]|$)",
        r"\1code\2\3",
        '"GET /orders HTTP/1.1" 504',
        OTHERS,
    ),
    Mask("port", r"((?:^|[\s(\[{,\"'=/])[A-Za-z_][\w-]*:|<IP>:)\d+\b", r"\1<NUM>", "at localhost:8080", OTHERS),
    Mask("quantity", rf"{_BEFORE}[+-]?\d+(?:[.,]\d+)*(?: ?%|{_UNIT}\b)", r"\1<NUM>", "took 17.5ms of 3 GB", OTHERS),
    Mask("hex", r"\b(?:0x[0-9a-fA-F]+|[0-9a-fA-F]{8,})\b", "<HEX>", "commit 7bf8e3c09d1a at 0x0b85eee0", OTHERS),
    Mask("number-in-name", r"([A-Za-z>][_.-]+|_)\d+", r"\1<NUM>", "blk_3886504906413966", OTHERS),
    Mask("number", r"(^|[\s=\[(,/\"-])\d+(?:\.\d+)?\b", r"\1<NUM>", 'validate( "1", "1", page)'),
)
MASKS = tuple(mask for mask in ALL_MASKS if not mask.scope)
_BUILT_IN = {mask.name: mask for mask in ALL_MASKS}


def load_masks(mask_file: Path | None, format_name: str = LO2.name) -> tuple[Mask, ...]:
    """Return the masks of logs of a format: the built-in ones, and those of a YAML file.

    These are added before the number mask, or replace one; an entry with the name of a built-in one alone turns it on.

    Raises
    ------
    InputError : the file is no list of masks, or a mask does not compile in RE2 or is over-long; it is named.
    """
    own = [_read_mask(entry, mask_file) for entry in _read_list(mask_file)] if mask_file else []
    replaced = {mask.name: mask for mask in own}
    scopes = ("",) if format_name == LO2.name else ("", OTHERS)
    every = [replaced.get(mask.name, mask) for mask in ALL_MASKS]
    masks = [mask for mask in every if mask.scope in scopes]
    return (*masks[:-1], *(mask for mask in own if mask.name not in _BUILT_IN), masks[-1])


def masks_fingerprint(masks: tuple[Mask, ...]) -> str:
    """Hash what the masks do: 16 hex digits."""
    return fingerprint([[mask.pattern, mask.replacement] for mask in masks])


def normalise(texts: pa.Array, masks: tuple[Mask, ...]) -> pa.DictionaryArray:
    """Apply all masks to each text, in order; each mask sees each text that the masks before left distinct once."""
    values, codes = texts, pa.array(np.arange(len(texts), dtype=np.int32))
    if len(texts) >= _MANY_TEXTS and _rules(masks[: len(IDENTIFIERS)]) == _rules(IDENTIFIERS):
        encoded = _mask_identifiers(texts)
        values, codes, masks = encoded.dictionary, encoded.indices, masks[len(IDENTIFIERS) :]
    for mask in masks:
        encoded = pc.replace_substring_regex(values, mask.pattern, mask.replacement).dictionary_encode()
        values, codes = encoded.dictionary, encoded.indices.take(codes)
    return pa.DictionaryArray.from_arrays(codes, values)


def matches_nothing(pattern: str) -> bool:
    """Return whether a pattern has matches without a character, which would put its replacement between characters."""
    probes = pa.array(["", "a 1", ".-_"])
    count, rest = pc.count_substring_regex(probes, pattern), pc.replace_substring_regex(probes, pattern, "")
    return bool(pc.any(pc.and_(pc.greater(count, 0), pc.equal(rest, probes))).as_py())


def _rules(masks: Sequence[Mask]) -> list[tuple[str, str]]:
    return [(mask.pattern, mask.replacement) for mask in masks]


def _mask_identifiers(texts: pa.Array) -> pa.DictionaryArray:
    """Do what the masks of identifiers do in a tenth of the time: they see all texts, the others what they leave."""
    # Compiled code is loaded by the workers that mask many texts, and by no other process.
    from lo2dask.features.kernels import mask_identifiers

    text, offsets = padded_text(texts)
    # A placeholder is at most one byte longer than the six bytes, "@" and five digits, that it may stand for.
    copy = np.empty(len(text) + len(text) // 6, dtype=np.uint8)
    ends = np.empty(len(texts), dtype=np.int64)
    names = [mask.replacement.removeprefix("@").encode() for mask in IDENTIFIERS]
    placeholders = np.array([[int.from_bytes(name, "little"), len(name)] for name in names], dtype=np.uint64)
    mask_identifiers(as_u64(text), offsets, placeholders, as_u64(copy, writeable=True), ends)
    return encode_slices(copy, np.append(0, ends)[:-1], ends)


def _read_list(path: Path) -> list[object]:
    content = read_yaml(path, "--mask-file")
    if not isinstance(content, list):
        raise InputError(f"--mask-file {path}: must be a list of masks (name, pattern, replacement, example)")
    return content


def _read_mask(entry: object, path: Path) -> Mask:
    if isinstance(entry, dict) and entry.keys() == {"name"} and entry["name"] in _BUILT_IN:
        return replace(_BUILT_IN[entry["name"]], scope="")
    if not isinstance(entry, dict) or not {"name", "pattern", "replacement"} <= entry.keys():
        raise InputError(f"--mask-file {path}: each mask needs name, pattern and replacement; got {entry!r}")
    mask = Mask(*(str(entry.get(key, "")) for key in ("name", "pattern", "replacement", "example")))
    if len(mask.pattern) > LONGEST_PATTERN:
        raise InputError(f"--mask-file {path}: mask {mask.name!r} is longer than {LONGEST_PATTERN} characters")
    try:
        normalise(pa.array([mask.example]), (mask,))
    except pa.ArrowInvalid as error:
        raise InputError(f"--mask-file {path}: mask {mask.name!r} is no RE2 pattern: {error}") from error
    if matches_nothing(mask.pattern):
        raise InputError(f"--mask-file {path}: mask {mask.name!r} matches the empty string: make it match a character")
    return mask
