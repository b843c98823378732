"""The operating system's network: addresses, sockets, TLS, and connections made of them. Knows frames, no objects."""
