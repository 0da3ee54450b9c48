"""Ray clusters: what to check before a run, and how a run is sent to one."""
