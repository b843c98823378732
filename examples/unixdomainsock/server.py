"""Listens on a Unix domain socket: python server.py [--abstract].

An abstract socket (Linux only) has no file: its name begins with a NUL character.
"""

import sys
import tempfile
from pathlib import Path

import pyrolite


@pyrolite.expose
class Local:
    def where(self) -> str:
        connection = pyrolite.current_context.client
        assert connection is not None
        return pyrolite.socketutil.family_str(connection.sock)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory, "example.sock"))
        name = "\0pyrolite-example-" + Path(directory).name if "--abstract" in sys.argv else path
        with pyrolite.Daemon(unixsocket=name) as daemon:
            uri = daemon.register(Local, "example.local")
            # a NUL character cannot be part of a command line, so it is shown as "@" here
            print("ready:", str(uri).replace("\0", "@"))
            daemon.requestLoop()
        print("the file is gone:", not Path(path).exists())


if __name__ == "__main__":
    main()
