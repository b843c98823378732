"""The echo server, for trying out connections: under the name that Pyro4 has for it."""
