"""What lo2dask raises: a message says what, where, and what to try; only the CLI turns it into an exit code."""


class Lo2Error(Exception):
    """The work failed; base of everything that lo2dask raises by itself (exit code 1)."""


class InputError(Lo2Error):
    """A path, option or file cannot be used; the message names it and the way out (exit code 2)."""


class RejectsError(Lo2Error):
    """All is done, but under ``--strict`` and something was rejected (exit code 3)."""


class FindingsError(Lo2Error):
    """All is done, but under ``--fail-on-findings`` and something stands out (exit code 4)."""


class IntegrityError(Lo2Error):
    """Rows went missing or a file is not what its record says: nothing may be lost in silence (exit code 1)."""


class ClusterError(Lo2Error):
    """The cluster was lost or wore out in mid-work; what is done is on disk, and the same command resumes."""
