"""What files hold, by their names and first bytes: text that may be a log, or images, archives and other data."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE

# A file whose first bytes hold more control bytes than this is no text.
BINARY_SHARE = 0.1
START_BYTES = 8192
BINARY, ARCHIVE = "binary", "archive"
_TEXT = bytes(range(0x20, 0x7F)) + b"\t\n\r\f\v\x1b\x00" + bytes(range(0x80, 0x100))
COMPANION = "companion file of macOS"
IS_COMPANION = (re.compile(r"\._.*|\.DS_Store"), COMPANION)
_KINDS = (
    IS_COMPANION,
    (re.compile(r".+\.(?:png|jpe?g|gif|bmp|svg|ico|webp|tiff?|pdf|mp4)", re.IGNORECASE), "image"),
    (re.compile(r".+\.(?:tar|tgz|tar\.(?:gz|bz2|xz|zst)|zip|7z|rar|jar|lz4|Z)"), ARCHIVE),
    (re.compile(r".+\.(?:parquet|npy|npz|pkl|so|dll|exe|class|pyc|db|sqlite3?|bin|woff2?|ttf)"), "binary file"),
)


def data_kind(name: str) -> str:
    """Return image, archive or another kind of file that holds no log, by its name; "" if it may be one."""
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(name)), "")


def text_problem(start: bytes) -> tuple[str, str] | None:
    """Return why a file that begins so is no text in UTF-8 of lines, as reason and detail; None if it may be."""
    odd, even = start[1::2].count(0), start[::2].count(0)
    # ASCII in UTF-16 has a zero as every other byte, with a mark before it or not.
    if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or max(odd, even) > 0.4 * len(start) > 4 * min(odd, even) + 1:
        return "UTF-16", "text in UTF-16 or UTF-32: convert it (iconv -f UTF-16 -t UTF-8) and load again"
    # Lines are cut at LF: the whole file would be one.
    if b"\n" not in start and b"\r" in start.rstrip(b"\r"):
        return "line ends", "lines end with CR alone, as on old Macs: convert it (tr '\\r' '\\n') and load again"
    if len(start.translate(None, _TEXT)) > BINARY_SHARE * len(start):
        return BINARY, "no text: control bytes in its first 8 KiB"
    return None
