"""The gate: tests and coverage decide whether the work is pushed."""
