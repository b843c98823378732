"""Bytes to messages and back. Pure: no sockets, threads, clocks, logging or configuration."""
