"""The user that the agent and the tests run as, and everything that crosses the border to it."""
