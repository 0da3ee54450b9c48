"""From predictions to metrics with intervals, and to a report a clinician can read."""
