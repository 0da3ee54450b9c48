"""Sweeps: an Optuna study over a recipe's settings, each trial a run of `training`."""
