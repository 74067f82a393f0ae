"""A polars script that streams, run by peers.py: ROOT OUT MASKS.json.

It knows the tricks that matter: no step but the last holds more than a batch or distinct lines, lines are split into
words and mined where they are distinct, and counts are multiplied.
"""

import json
import sys
from pathlib import Path

import polars as pl
from drain3 import TemplateMiner

STREAM = "streaming"


def main(root: str, out: str, masks: str) -> None:
    """Scan, mask, count distinct masked lines by sequence; from these words and templates; write three tables."""
    folder = Path(out)
    folder.mkdir(parents=True)
    paths = sorted(map(str, Path(root).glob("*/*/light-oauth2-oauth2-*.log")))
    lines = pl.scan_csv(
        paths, has_header=False, schema={"line": pl.String}, quote_char=None, separator="\x01", encoding="utf8-lossy",
        truncate_ragged_lines=True, include_file_paths="seq_id",
    ).filter(pl.col("line").str.strip_chars() != "")  # fmt: skip
    masked = pl.col("line")
    for rule in json.loads(Path(masks).read_text(encoding="utf-8")):
        masked = masked.str.replace_all(rule["pattern"], rule["dollar"])
    time = pl.col("line").str.extract(r"^(\d\d:\d\d:\d\d\.\d{3}) \[[^\]]*\]", 1)
    grouped = lines.select("seq_id", masked.alias("masked"), time.alias("time")).group_by("seq_id", "masked")
    counted = grouped.agg(
        pl.len().alias("count"), pl.col("time").min().alias("start"), pl.col("time").max().alias("end")
    )
    counted.sink_parquet(folder / "distinct.parquet", engine=STREAM)
    distinct = pl.scan_parquet(folder / "distinct.parquet")
    whole = (pl.col("count").sum(), pl.col("start").min(), pl.col("end").max())
    distinct.group_by("seq_id").agg(*whole).sink_parquet(folder / "sequences.parquet", engine=STREAM)
    word = distinct.select("seq_id", pl.col("masked").str.split(" ").alias("word"), "count").explode(
        "word", empty_as_null=True
    )
    words = word.group_by("seq_id", "word").agg(pl.col("count").sum())
    words.sink_parquet(folder / "words.parquet", engine=STREAM)
    miner = TemplateMiner()
    texts = distinct.select(pl.col("masked").unique()).collect(engine=STREAM)["masked"].sort().to_list()
    template = pl.LazyFrame({"masked": texts, "template": [miner.add_log_message(t)["cluster_id"] for t in texts]})
    mined = distinct.join(template, on="masked").group_by("seq_id", "template").agg(pl.col("count").sum())
    mined.sink_parquet(folder / "templates.parquet", engine=STREAM)
    (folder / "distinct.parquet").unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
