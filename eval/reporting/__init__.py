"""What the report shows, section by section: made from metrics.json and the run's files."""
