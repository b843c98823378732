"""Prints what a remote method can find out about the call that it is serving."""

from __future__ import annotations

from annotated import KEY, AnnotatingDaemon

import pyrolite

context = pyrolite.current_context


def text_of(name: str) -> str:
    return bytes(context.annotations.get(name, b"-")).decode()


@pyrolite.expose
class Witness:
    def tell(self, what: str) -> str:
        self._show(what)
        context.response_annotations = {"MTHD": b"from the method"}
        return f"you are {context.correlation_id}"

    @pyrolite.oneway
    def whisper(self, what: str) -> None:
        self._show(what)

    def _show(self, what: str) -> None:
        host = context.client_sock_addr[0] if context.client_sock_addr else None
        print(f"{what}: call from {host}")
        print(f"  sequence number {context.seq}, serializer {context.serializer_id}, flags {context.msg_flags}")
        print(f"  correlation id {context.correlation_id}")
        print(f"  annotations: {text_of('PRXY')}, {text_of('USER')}")


def main() -> None:
    with AnnotatingDaemon() as daemon:
        daemon._pyroHmacKey = KEY  # from now on, only clients with the same key are served
        print("the witness is ready:", daemon.register(Witness, "example.callcontext"))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
