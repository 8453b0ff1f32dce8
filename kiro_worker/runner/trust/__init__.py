"""What may steer the agent, and where it comes from."""
