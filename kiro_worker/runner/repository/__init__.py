"""git as the worker runs it: fetch, commit, checkpoint and push."""
