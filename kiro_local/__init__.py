"""The embedded environment: AWS and GitHub on one machine, on loopback only."""
