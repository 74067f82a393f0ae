"""Bad input."""
from pathlib import Path
from lo2dask.options import SynthOptions

def write_faults(options: SynthOptions, home: Path) -> tuple[int, int]:
    return 0, 0
