"""The user that runs the agent and the tests, and how the runner starts its processes and reads its files."""
