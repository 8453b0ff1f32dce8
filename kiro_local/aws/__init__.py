"""The embedded AWS: moto behind one loopback port, and what it lacks."""
