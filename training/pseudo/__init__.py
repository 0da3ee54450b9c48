"""Proxy labels as a ledger: scored, thresholded, compared, undone and replayed.

score.py       teachers over many shards, resumable        thresholds.py  given, or by precision
decision.py    a round: thresholds -> ledger -> summary    bounds.py      Clopper-Pearson
ledger.py      one row a picture                           prevalence.py  precision moves with it
shift.py       the kept against the offered and labelled   sweep.py       other thresholds
replay.py      the ledger again, from the scores           undo.py        take a round back
verbs.py       python -m training pseudo show|sweep|replay|undo RUN
"""

from training.pseudo.decision import Decision, Said, read_decided, record
from training.pseudo.ledger import DECISIONS, decide, table
from training.pseudo.score import Scores, scored
from training.pseudo.summary import AGE_BANDS, AGE_EDGES, summary

__all__ = [
    "AGE_BANDS",
    "AGE_EDGES",
    "DECISIONS",
    "Decision",
    "Said",
    "Scores",
    "decide",
    "read_decided",
    "record",
    "scored",
    "summary",
    "table",
]
