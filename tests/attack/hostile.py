"""Input as nobody would write it by accident: files, archives, names and configurations, one function each."""

import contextlib
import io
import os
import random
import socket
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

RUN = "light-oauth2-data-1740000000"
LOG = "light-oauth2-oauth2-token-1.log"
CASE = "get_token_404"
LONG = 20_000_000


@dataclass(frozen=True)
class Hostile:
    """How it is made in a raw tree, how many lines of it are kept, and how many rejects tell of the others.

    ``reasons`` are those of the rejects.
    """

    make: Callable[[Path], object]
    kept: int = 0
    rejected: int = 1
    reasons: tuple[str, ...] = ()


def lines(count: int) -> bytes:
    """LO2 lines at 21:25:00 and each second after it."""
    return b"".join(b"21:25:%02d.000 [main]   DEBUG a.b.C d - text %d\n" % (n % 60, n) for n in range(count))


def log(raw: Path, content: bytes, run: str = RUN, case: str = CASE, name: str = LOG) -> Path:
    """Write a log into a run of its own."""
    path = raw / run / case / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def content(data: bytes) -> Callable[[Path], object]:
    """Return what writes a log with this content."""
    return lambda raw: log(raw, data)


def noise(size: int) -> bytes:
    """Random bytes, always the same."""
    return random.Random(7).randbytes(size)


LONG_LINE = lines(1).rstrip() + b"x" * LONG
LOGS = {
    "latin-1": Hostile(content(lines(3).replace(b"text", b"t\xe9xt \xff\xfe")), 3, 1, ("invalid UTF-8",)),
    "NULs within lines": Hostile(content(lines(3).replace(b"text", b"te\0xt")), 0, 1, ("NUL bytes",)),
    "NULs alone": Hostile(content(b"\0" * 100_000)),
    "random bytes": Hostile(content(noise(100_000))),
    "a line of 20 MB": Hostile(content(LONG_LINE), 0, 1, ("line too long",)),
    "a line of 20 MB among others": Hostile(content(lines(2) + LONG_LINE + b"\n" + lines(2)), 4, 1, ("line too long",)),
    "20 MB without a header": Hostile(content(b"x" * LONG)),
    "empty": Hostile(content(b"")),
    "line breaks alone": Hostile(content(b"\r\n\n\r" * 1000)),
    "CRLF": Hostile(content(lines(3).replace(b"\n", b"\r\n")), 3, 0),
    "mixed line breaks": Hostile(content(lines(1) + lines(1).replace(b"\n", b"\r\n") + lines(1).rstrip()), 3, 0),
    "UTF-16": Hostile(content(lines(20).decode().encode("utf-16"))),
    "gzip in disguise": Hostile(content(b"\x1f\x8b\x08" + noise(5000))),
    "escape sequences": Hostile(content(lines(3).replace(b"text", b"\x1b]0;owned\x07\x1b[2Jtext")), 3, 0),
}


def fifo(raw: Path) -> None:
    log(raw, b"", name="x").unlink()
    os.mkfifo(raw / RUN / CASE / LOG)


def link_out(raw: Path) -> None:
    outside = raw.parent / "outside.log"
    outside.write_bytes(lines(5))
    log(raw, b"").unlink()
    (raw / RUN / CASE / LOG).symlink_to(outside)


def link_to_itself(raw: Path) -> None:
    log(raw, b"").unlink()
    (raw / RUN / CASE / LOG).symlink_to(LOG)
    (raw / RUN / CASE / "loop").symlink_to("..")


def socket_file(raw: Path) -> None:
    log(raw, b"").unlink()
    with contextlib.chdir(raw / RUN / CASE), socket.socket(socket.AF_UNIX) as one:
        one.bind(LOG)


def not_utf8(raw: Path) -> None:
    folder = os.fsencode(raw / RUN) + b"/l\xf6schen_404"
    os.makedirs(folder)
    with open(folder + b"/" + LOG.encode(), "wb") as file:
        file.write(lines(3))


def closed(raw: Path) -> None:
    log(raw, lines(3)).parent.chmod(0)


NAMES = {
    "a case with a line break": Hostile(lambda raw: log(raw, lines(3), case="get\ntoken_404"), 3, 0),
    "a case with quotes": Hostile(lambda raw: log(raw, lines(3), case="""a'b"c`$(id);--"""), 3, 0),
    "a case with an escape sequence": Hostile(lambda raw: log(raw, lines(3), case="\x1b[31mred\u202e"), 3, 0),
    "a case that is a formula": Hostile(lambda raw: log(raw, lines(3), case="=1+1"), 3, 0),
    "a case that is no UTF-8": Hostile(not_utf8, reasons=("name",)),
    "a case of 255 bytes": Hostile(lambda raw: log(raw, lines(3), case="x" * 255), 3, 0),
    "a log that is a folder": Hostile(lambda raw: log(raw, lines(3), case=f"{CASE}/{LOG}")),
    "a log that is a fifo": Hostile(fifo),
    "a log that is a socket": Hostile(socket_file),
    "a log that is a link out of the tree": Hostile(link_out, reasons=("link",)),
    "a log that is a link to itself": Hostile(link_to_itself),
    "a folder that is closed": Hostile(closed),
}


def tar(raw: Path, *members: tuple[str, bytes, dict[str, object]], cut: int = 0) -> None:
    """Write a run as a tar; ``cut`` takes so many bytes from its end."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data, more in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in more.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    whole = file.getvalue()
    (raw / f"{RUN}.tar").write_bytes(whole[: len(whole) - cut])


GOOD: tuple[str, bytes, dict[str, object]] = (f"{RUN}/{CASE}/{LOG}", lines(3), {})
OTHER = LOG.replace("token", "user")


def with_good(*names: str, data: bytes = b"", **more: object) -> Callable[[Path], object]:
    """Return what writes a tar of a good log and of members with these names."""
    return lambda raw: tar(raw, GOOD, *((name, data, more) for name in names))


def sparse(raw: Path) -> None:
    """A member that says it is 1 TB of nothing, in the old GNU form."""
    tar(raw, GOOD)
    member = tarfile.TarInfo(f"{RUN}/{CASE}/{OTHER}")
    member.size = 0
    head = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    head[156:157] = tarfile.GNUTYPE_SPARSE
    head[386:398], head[398:410] = b"%011o\0" % 0, b"%011o\0" % 0
    head[483:495] = b"\x80" + (10**12).to_bytes(11, "big")
    head[148:156] = b"        "
    head[148:156] = b"%06o\0 " % sum(head)
    path = raw / f"{RUN}.tar"
    path.write_bytes(path.read_bytes()[: 512 * 2] + bytes(head) + b"\0" * 1024)


def sized(size: int) -> Callable[[Path], object]:
    """Return what writes a member whose header says this size, without its bytes."""

    def make(raw: Path) -> None:
        tar(raw, GOOD)
        head = bytearray(tarfile.TarInfo(f"{RUN}/{CASE}/{OTHER}").tobuf(tarfile.GNU_FORMAT))
        head[124:136] = (b"\xff" if size < 0 else b"\x80") + (size % (1 << 88)).to_bytes(11, "big")
        head[148:156] = b"        "
        head[148:156] = b"%06o\0 " % sum(head)
        path = raw / f"{RUN}.tar"
        path.write_bytes(path.read_bytes()[: 512 * 2] + head + b"\0" * 1024)

    return make


CASE_OTHER = f"{RUN}/{CASE}/{OTHER}"
TARS = {
    "a member twice": Hostile(lambda raw: tar(raw, (GOOD[0], lines(5), {}), GOOD), 3, 1, ("superseded",)),
    "an absolute name": Hostile(with_good(f"/tmp/{RUN}/{CASE}/{OTHER}", data=lines(2)), 3, 1, ("path",)),
    "an absolute name of a run": Hostile(with_good(f"/{RUN}/{CASE}/{OTHER}", data=lines(2)), 3, 1, ("path",)),
    "names with ..": Hostile(with_good(f"{RUN}/../{OTHER}", f"../../{OTHER}", data=lines(2)), 3, 2, ("path",)),
    "cut within a member": Hostile(lambda raw: tar(raw, GOOD, (CASE_OTHER, lines(900), {}), cut=30_000), 3, 2),
    "cut within a header": Hostile(lambda raw: tar(raw, GOOD, (CASE_OTHER, b"", {}), cut=10240 - 1024 - 200), 3, 1),
    "empty": Hostile(lambda raw: (raw / f"{RUN}.tar").write_bytes(b"")),
    "random bytes": Hostile(lambda raw: (raw / f"{RUN}.tar").write_bytes(noise(50_000))),
    "a sparse member of 1 TB": Hostile(sparse, 3),
    "a member of 4 EB": Hostile(sized(1 << 62), 3),
    "a member of a negative size": Hostile(sized(-512), 3),
    "a hard link": Hostile(with_good(CASE_OTHER, type=tarfile.LNKTYPE, linkname=GOOD[0]), 3),
    "a link out": Hostile(with_good(CASE_OTHER, type=tarfile.SYMTYPE, linkname="/etc/passwd"), 3),
    "a fifo": Hostile(with_good(CASE_OTHER, type=tarfile.FIFOTYPE), 3),
    "a device": Hostile(with_good(CASE_OTHER, type=tarfile.CHRTYPE), 3),
    "a name that is no UTF-8": Hostile(with_good(f"{RUN}/l\udcf6schen_404/{OTHER}", data=lines(2)), 3, 1, ("name",)),
    "a name with a line break": Hostile(with_good(f"{RUN}/a\nb/{OTHER}", data=lines(2)), 5, 0),
}


def beside(name: str, data: bytes) -> Callable[[Path], object]:
    """Return what writes a file of metrics or traces, next to a good log."""

    def make(raw: Path) -> None:
        log(raw, lines(3))
        log(raw, data, case=f"{CASE}/metrics", name=name)

    return make


HEAD = b"Trace ID,Span ID,Operation Name,Start Time,End Time,Tags\n"
METRIC = b'{"status":"success","data":{"resultType":"matrix","result":[%s]}}'
SERIES = b'{"metric":{"__name__":"up"},"values":[[%s,"%s"]]}'
METRICS = {
    "a cell too few and too many": Hostile(beside("traces_a.csv", HEAD + b"a,b\n1,2,3,4,5,6,7,8\n"), 3, 2),
    "a time that is none": Hostile(beside("traces_a.csv", HEAD + b"a,b,c,yesterday,today,{}\n"), 3),
    # The quotes of eight rows close in the next one: four rows without a time, told together, and one that stays open.
    "a quote that stays open": Hostile(beside("traces_a.csv", HEAD + b'a,b,"c,1,2,{}\n' * 9), 3, 2),
    "NULs and no UTF-8": Hostile(beside("traces_a.csv", HEAD + b"a\0,\xff\xfe,c,1,2,{}\n"), 3),
    "no header": Hostile(beside("traces_a.csv", noise(5000)), 3),
    "an empty csv": Hostile(beside("traces_a.csv", b""), 3),
    "JSON that is nested": Hostile(beside("metric_up.json", b"[" * 200_000), 3),
    "JSON that is cut off": Hostile(beside("metric_up.json", (METRIC % (SERIES % (b"1719592986", b"1")))[:-20]), 3),
    "a value that is none": Hostile(beside("metric_up.json", METRIC % (SERIES % (b"1719592986", b"one"))), 3),
    "a time of another age": Hostile(beside("metric_up.json", METRIC % (SERIES % (b"1e300", b"1"))), 3),
    "an empty JSON": Hostile(beside("metric_up.json", b""), 3),
}

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
YAML: dict[str, bytes] = {
    "anchors": BOMB.encode(),
    "an alias within its anchor": b"&a [*a]",
    "deep": b"[" * 3000,
    "deep mappings": b"{a: " * 3000,
    "over 1 MiB": b"#" * ((1 << 20) + 1),
    "many values": b"- x\n" * 20_000,
    "code": b"a: !!python/object/apply:os.system ['touch owned']",
    "no UTF-8": b"a: \xff\xfe",
    "NULs": b"a: \0\0",
    "a key twice": b"root: a\nroot: b",
    "a list": b"- a\n- b",
    "an unknown key": b"rooot: a",
    "a huge number": b"runs: " + b"9" * 5000,
}
