"""The agent: the programs that the runner supports, and the turns in which they work."""
