"""Orders and their totals."""
