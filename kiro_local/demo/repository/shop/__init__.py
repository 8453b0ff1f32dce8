"""Orders and what they cost."""
