"""What the worker costs, measured against the plain way to do the same on the same machine in the same run."""
