"""Files and objects: read, listed and written the same way on a local disk and in an object store."""

from lo2dask.options.paths import is_local, to_path
from lo2dask.storage.buckets import check_buckets
from lo2dask.storage.cache import cached_files
from lo2dask.storage.damage import name_damage
from lo2dask.storage.files import (
    Entry,
    Stamp,
    copy_file,
    entries,
    flush_all,
    flushing_together,
    free_bytes,
    link_file,
    list_paths,
    open_at,
    open_read,
    read_into,
    read_json,
    read_scratch,
    remove_leftovers,
    remove_tree,
    replacing,
    same_content,
    source_of,
    stamp_of,
    status,
    walk,
    write_bytes,
    write_json,
    write_scratch,
    write_text,
)
from lo2dask.storage.lock import LOCK, check_not_in_use, locked, locked_outputs
from lo2dask.storage.room import NO_ROOM, naming_file
from lo2dask.storage.targets import check_apart, check_disk, check_name
