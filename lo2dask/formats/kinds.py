"""Which format each kind of file (its service) has: chosen once, kept with the load, and the same for all its steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lo2dask.errors import InputError
from lo2dask.formats.canonical import CANONICAL
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.presets import PRESETS, Preset, timed
from lo2dask.formats.times import SHAPE
from lo2dask.formats.user_format import make_user_format

PLAIN, TIMED = "plain", "timed"
# Of files of which too few lines are understood, which are left out.
UNREAD = "unread"


@dataclass(frozen=True)
class KindFormat:
    """The format of one kind of file: a preset's name, or a user's own format whole; and the wrappers around it."""

    name: str
    wrappers: tuple[str, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @cached_property
    def reader(self) -> Preset:
        """What finds its headers.

        Raises
        ------
        InputError : there is no format of that name; the message lists those there are.
        """
        if self.own:
            return make_user_format(self.own)
        if self.name == UNREAD:
            return PRESETS[PLAIN]
        name, _, shapes = self.name.partition(":")
        if name == TIMED and shapes and set(shapes.split("+")) <= set(SHAPE):
            return timed(tuple(shapes.split("+")))
        if self.name not in PRESETS:
            raise InputError(f"--format: no format is called {self.name!r}; there are: auto, {', '.join(PRESETS)}")
        return PRESETS[self.name]

    @property
    def label(self) -> str:
        """The name as a reader sees it, wrappers before it."""
        return " > ".join([*self.wrappers, self.name.partition(":")[0]])

    @property
    def is_lo2(self) -> bool:
        """Return whether it is LO2's, without a wrapper."""
        return self.name == LO2.name and not self.wrappers

    def to_plain(self) -> dict[str, Any]:
        """Return plain types, for records and bundles."""
        return {"name": self.name, "wrappers": list(self.wrappers), "own": dict(self.own)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "KindFormat":
        """Read back what ``to_plain`` returned."""
        return cls(plain["name"], tuple(plain["wrappers"]), dict(plain["own"]))


@dataclass(frozen=True)
class Translation:
    """The format of each kind of a tree's files; ``default`` is that of a kind that was not there at planning.

    Lines are read as LO2's where all kinds are; else all are translated into canonical lines.
    """

    kinds: Mapping[str, KindFormat]
    default: KindFormat = KindFormat(LO2.name)
    timezone: str = "UTC"

    @property
    def is_needed(self) -> bool:
        """Return whether any kind has another format than LO2's."""
        return not all(kind.is_lo2 or kind.name == UNREAD for kind in (*self.kinds.values(), self.default))

    @property
    def has_effect(self) -> bool:
        """Return whether files are translated or left out."""
        return self.is_needed or any(kind.name == UNREAD for kind in (*self.kinds.values(), self.default))

    @property
    def line_format(self) -> LineFormat:
        """What lines look like once translated."""
        return CANONICAL if self.is_needed else LO2

    def of(self, kind: str) -> KindFormat:
        """Return the format of a kind of file."""
        return self.kinds.get(kind, self.default)

    def to_plain(self) -> dict[str, Any]:
        """Return plain types, for records and bundles."""
        kinds = {name: kind.to_plain() for name, kind in sorted(self.kinds.items())}
        return {"kinds": kinds, "default": self.default.to_plain(), "timezone": self.timezone}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Translation":
        """Read back what ``to_plain`` returned; an empty mapping is LO2's format for all."""
        if not plain:
            return cls({})
        kinds = {name: KindFormat.from_plain(kind) for name, kind in plain["kinds"].items()}
        return cls(kinds, KindFormat.from_plain(plain["default"]), plain["timezone"])
