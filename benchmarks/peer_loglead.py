"""LogLead's way, run by peers.py with the interpreter of LogLead's own environment: ROOT OUT MASKS.json."""

import json
import sys
from pathlib import Path

from loglead.enhancers import EventLogEnhancer, SequenceEnhancer
from loglead.loaders import LO2Loader


def main(root: str, out: str, masks: str) -> None:
    """Load, mask, split into words, mine, and write one row a sequence with its words and templates."""
    loader = LO2Loader(filename=root, n_runs=10**6, errors_per_run=10**6)
    frame = loader.execute()
    events = EventLogEnhancer(frame)
    rules = [(rule["dollar"], rule["pattern"]) for rule in json.loads(Path(masks).read_text(encoding="utf-8"))]
    events.mask(rules, twice=False)
    events.words("e_message_normalized")
    frame = events.parse_drain()
    sequences = SequenceEnhancer(df=frame, df_seq=loader.df_seq.drop("m_message"))
    sequences.seq_len()
    sequences.duration()
    sequences.tokens("e_words")
    Path(out).mkdir(parents=True)
    sequences.events("e_event_drain_id").write_parquet(Path(out) / "sequences.parquet")


if __name__ == "__main__":
    main(*sys.argv[1:])
