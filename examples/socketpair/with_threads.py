"""A socket that is connected already: the server is a thread of this program."""

import socket
import threading

from counter import Counter

import pyrolite

# nobody else can be on this socket, so pickle does no harm
pyrolite.config.SERIALIZER = "pickle"
pyrolite.config.SERIALIZERS_ACCEPTED = {"pickle"}


def main() -> None:
    client_socket, server_socket = socket.socketpair()
    daemon = pyrolite.Daemon(connected_socket=server_socket)
    print("served:", daemon.register(Counter, "counter"))
    serving = threading.Thread(target=daemon.requestLoop, name="server")
    serving.start()

    # the name of the object is enough, since the socket leads to the server; no handshake takes place
    for number in (1, 2):
        with pyrolite.Proxy("counter", connected_socket=client_socket) as counter:
            print(f"proxy {number}:", counter.add(10), counter.keep({1, 2}))
        # releasing the proxy leaves the socket open for the next one

    client_socket.close()  # ends the loop of the server
    serving.join()
    daemon.close()
    server_socket.close()
    print("the server has noticed the end")


if __name__ == "__main__":
    main()
