"""One of each kind of bad input that a loader of such a tree meets, in a run of its own."""

from pathlib import Path
from typing import Final

from lo2dask.options import SynthOptions
from lo2dask.synthesis.service_log import LogSpec, service_log
from lo2dask.synthesis.sinks import FolderSink, TarSink

LONG_LINE_BYTES: Final = 50_000_000
FAULTY_RUN: Final = {"v1": "light-oauth2-data-1700000000", "v2": "LO2_run_1700000000", "guide": "run_9999"}
"""Name of the run that holds the faults, by layout; it sorts first or last."""

CUT_TAR: Final = "light-oauth2-data-1700003600.tar"
_IRREGULAR: Final = "get_token_404"


def faulty_run(options: SynthOptions) -> str:
    """Return the name of the run that holds the faults."""
    return FAULTY_RUN.get(options.layout, FAULTY_RUN["v1"])


def write_faults(options: SynthOptions, home: Path) -> tuple[int, int]:
    """Write the faulty run and a tar cut short; return the number of files and their bytes.

    Each fault has a service log of its own in ``correct``; what cannot be a log lies next to it.
    """
    run = home / faulty_run(options)
    sink = FolderSink(run)
    prefix = "oauth2-oauth2" if options.layout == "guide" else "light-oauth2-oauth2"
    suffix = "" if options.layout == "guide" else "-1"

    def log(service: str, case: str = "correct") -> str:
        """Return the path of a log below the run."""
        return f"{case}/{prefix}-{service}{suffix}.log"

    sound = _sound_log(options)
    middle = sound.index(b"\n", len(sound) // 2) + 1
    head, tail = sound[:middle], sound[middle:]
    sink.add(log("client"), b"")
    sink.add(log("code"), bytes(range(256)) * 256)
    sink.add(log("key"), head + b"16:29:46.000 [main]   INFO  a.B c - nul \0\0\0 bytes\n" + tail)
    sink.add(log("service"), head + b"16:29:46.000 [main]   INFO  a.B c - latin-1 \xe4\xf6\xfc\n" + tail)
    sink.add(log("token"), head + b"16:29:46.000 [main]   INFO  a.B c - " + b"x" * LONG_LINE_BYTES + b"\n" + tail)
    sink.add(log("user"), sound)
    sink.add("correct/metrics/metric_node_load1.json", b'[{"metric": {"__name__": "node_load1"}, "values": [[1, "2"')
    _add_irregular(run, run / log("refresh-token"), run / log("token", _IRREGULAR), run / log("code", _IRREGULAR))
    _add_cut_tar(home, options, sound)
    return sink.files + 1, sink.size


def _add_irregular(run: Path, folder: Path, vanished: Path, unreadable: Path) -> None:
    """Add what is not a regular file: a folder, a loop, a file that vanished, one that may not be read."""
    folder.mkdir()
    (run / _IRREGULAR).mkdir()
    (run / _IRREGULAR / "loop").symlink_to(Path(".."), target_is_directory=True)
    vanished.symlink_to("vanished.log")
    unreadable.write_bytes(b"16:29:46.000 [main]   INFO  a.B c - nobody may read this\n")
    unreadable.chmod(0)


def _add_cut_tar(home: Path, options: SynthOptions, sound: bytes) -> None:
    path = home / CUT_TAR
    with TarSink(path, path.stem, options.epoch) as tar:
        tar.add("correct/light-oauth2-oauth2-token-1.log", sound)
        tar.add("correct/light-oauth2-oauth2-user-1.log", sound)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)


def _sound_log(options: SynthOptions) -> bytes:
    scale = min(options.scale, 0.05)
    return service_log(LogSpec(options.seed, "faults", "correct", "user", scale, options.epoch, 60.0, is_first=False))
