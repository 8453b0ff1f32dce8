"""Tests and coverage decide whether the work is pushed."""
