"""Progress: metrics.jsonl is the truth, W&B is fed from it, and people read plain lines."""

from training.tracking.jsonl import JsonlTracker, NullTracker, Record, Tracker, tracker_for
from training.tracking.say import say

__all__ = ["JsonlTracker", "NullTracker", "Record", "Tracker", "say", "tracker_for"]
