"""What the worker costs, measured against a plain alternative on the same machine and in the same run."""
