"""What the branch and the agent may change: guarded files, central steering files, and the search for secrets."""
