"""The tools that Pyro4 ships: Flame, HTTP gateway."""
