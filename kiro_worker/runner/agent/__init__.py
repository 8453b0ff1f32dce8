"""The agent: which programs can be one, and its turns."""
