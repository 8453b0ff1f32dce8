"""How the worker uses git: fetch, commit, checkpoint and push."""
