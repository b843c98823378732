"""Uses the modules, the builtins and the interpreter of the server: python client.py [URI [--console]]."""

import sys

import pyrolite
from pyrolite.utils import flame

pyrolite.config.SERIALIZER = "pickle"

MODULE = '''
"""A module that did not exist in the server."""

def fibonacci(count):
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-2] + numbers[-1])
    return numbers
'''


def main() -> None:
    uri = pyrolite.URI(sys.argv[1] if len(sys.argv) > 1 else input("URI of flame: "))
    with flame.connect(str(uri.location)) as server:
        if "--console" in sys.argv:
            with server.console() as console:
                console.interact()
            return

        # a module of the server, used like a local one
        with server.module("os") as remote_os:
            print("a process id of the server:", remote_os.getpid() > 0)
            print("a path joined there:", remote_os.path.join("home", "file"))

        # its builtins
        with server.builtin("max") as remote_max:
            print("the largest, found there:", remote_max([22, 99, 1]))

        # expressions and statements
        print("evaluated there:", server.evaluate("sum(n * n for n in range(10))"))
        server.execute("answer = 6 * 7")
        print("a variable that stays there:", server.evaluate("answer"))
        try:
            server.evaluate("1 / 0")
        except ZeroDivisionError as error:
            print("an error there:", error)

        # a module that is sent there
        server.sendmodule("example_sent_module", MODULE)
        with server.module("example_sent_module") as sent:
            print("a function of a module that was sent:", sent.fibonacci(10))
        print("its source is back:", server.getmodule("example_sent_module") == MODULE)

        # files
        server.sendfile("example_flame.txt", b"written from far away")
        print("a file of the server:", server.getfile("example_flame.txt").decode())
        with server.module("os") as remote_os:
            remote_os.remove("example_flame.txt")


if __name__ == "__main__":
    main()
