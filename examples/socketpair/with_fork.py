"""A socket that is connected already: the server is a child process (not on Windows)."""

import os
import socket

from counter import Counter

import pyrolite

pyrolite.config.SERIALIZER = "pickle"
pyrolite.config.SERIALIZERS_ACCEPTED = {"pickle"}


def serve(server_socket: socket.socket) -> None:
    with pyrolite.Daemon(connected_socket=server_socket) as daemon:
        daemon.register(Counter, "counter")
        daemon.requestLoop()


def main() -> None:
    client_socket, server_socket = socket.socketpair()
    child = os.fork()
    if child == 0:
        client_socket.close()
        serve(server_socket)
        os._exit(0)

    server_socket.close()
    for number in (1, 2):
        with pyrolite.Proxy("counter", connected_socket=client_socket) as counter:
            print(f"proxy {number}:", counter.add(10), counter.keep({1, 2}))
    client_socket.close()
    _, status = os.waitpid(child, 0)
    print("the child has ended with", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
