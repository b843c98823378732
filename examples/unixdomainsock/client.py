"""Uses an object over a Unix domain socket: python client.py [URI], with "@" for the NUL of abstract sockets."""

import sys

import pyrolite


def main() -> None:
    text = sys.argv[1] if len(sys.argv) > 1 else input("URI: ")
    uri = pyrolite.URI(text.replace("./u:@", "./u:\0"))
    print("an abstract name:" if str(uri.sockname).startswith("\0") else "a file:", repr(uri.sockname))
    with pyrolite.Proxy(uri) as local:
        print("the server sees a connection of kind", local.where())


if __name__ == "__main__":
    main()
