"""Benchmarks of the worker, against a plain alternative on the same machine and in the same run."""
