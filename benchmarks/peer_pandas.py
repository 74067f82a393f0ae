"""A straight pandas and scikit-learn script, run by peers.py: ROOT OUT MASKS.json.

It knows one trick: Drain sees each distinct masked line once.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from drain3 import TemplateMiner
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer


def main(root: str, out: str, masks: str) -> None:
    """Read all lines, mask them, count words by sequence, mine templates, write three tables."""
    frames = []
    for path in sorted(Path(root).glob("*/*/light-oauth2-oauth2-*.log")):
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = pd.DataFrame({"line": [line for line in text.split("\n") if line.strip()]})
        frames.append(lines.assign(run=path.parts[-3], test_case=path.parts[-2], service=path.stem))
    frame = pd.concat(frames, ignore_index=True)
    frame["seq_id"] = frame["run"] + "__" + frame["test_case"] + "__" + frame["service"]
    header = r"^(?P<time>\d\d:\d\d:\d\d\.\d{3}) \[(?P<thread>[^\]]*)\]"
    frame = frame.join(frame["line"].str.extract(header).astype("string"))
    frame["masked"] = frame["line"]
    for rule in json.loads(Path(masks).read_text(encoding="utf-8")):
        frame["masked"] = frame["masked"].str.replace(rule["pattern"], rule["backslash"], regex=True)
    miner = TemplateMiner()
    template = {text: miner.add_log_message(text)["cluster_id"] for text in frame["masked"].unique()}
    frame["template"] = frame["masked"].map(template)
    grouped = frame.groupby("seq_id")
    sequences = grouped.agg(lines=("line", "size"), start=("time", "min"), end=("time", "max"))
    counter = CountVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False)
    matrix = sparse.coo_matrix(counter.fit_transform(grouped["masked"].agg("\n".join)))
    names = counter.get_feature_names_out()
    words = pd.DataFrame({"seq": matrix.row, "word": names[matrix.col], "count": matrix.data})
    folder = Path(out)
    folder.mkdir(parents=True)
    sequences.to_parquet(folder / "sequences.parquet")
    words.to_parquet(folder / "words.parquet")
    grouped["template"].value_counts().reset_index(name="count").to_parquet(folder / "templates.parquet")


if __name__ == "__main__":
    main(*sys.argv[1:])
