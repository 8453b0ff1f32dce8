"""The agent: the programs that can be one, and the turns in which it works."""
