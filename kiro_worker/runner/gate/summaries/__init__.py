"""What test runners print about a run: which tools are recognised, and what their summaries say."""
