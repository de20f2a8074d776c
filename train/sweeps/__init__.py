"""Sweeps: many trainings of one spec, drawn by Optuna, each a run of its own."""
