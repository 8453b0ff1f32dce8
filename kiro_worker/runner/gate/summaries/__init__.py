"""What test runners print about a run: which tools are recognized, and what their summaries say."""
