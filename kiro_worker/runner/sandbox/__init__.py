"""The user that runs the agent and the tests, and every way in which processes and files cross to and from it."""
