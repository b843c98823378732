"""Sends annotations and a correlation id along with calls, in all ways there are."""

import sys
import uuid

from annotated import KEY, AnnotatingProxy

import pyrolite

context = pyrolite.current_context


def annotation(name: str) -> str:
    return bytes(context.response_annotations.get(name, b"-")).decode()


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the witness: ")

    print("without the key:")
    with pyrolite.Proxy(uri) as stranger:
        try:
            stranger.tell("never")
        except pyrolite.errors.CommunicationError as error:
            print("  refused:", str(error).rpartition(": ")[2])

    with AnnotatingProxy(uri) as witness:
        witness._pyroHmacKey = KEY
        print("a call:")
        context.correlation_id = uuid.UUID(int=2024)
        context.annotations = {"USER": b"from the context"}  # for the next call only
        print(" ", witness.tell("first"))
        print("  annotations of the answer:", annotation("MTHD"), "and", annotation("DAEM"))

        print("the same again:")
        print(" ", witness.tell("second"))

        print("a oneway call:")
        context.annotations = {"USER": b"whispered"}
        witness.whisper("third")
        print("  annotations of the answer:", annotation("MTHD"))

        print("an asynchronous call:")
        context.annotations = {"USER": b"asynchronous"}
        pyrolite.asyncproxy(witness)
        print(" ", witness.tell("fourth").value)


if __name__ == "__main__":
    main()
