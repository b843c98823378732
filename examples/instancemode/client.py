"""Two connections, two calls each: who answers?"""

import uuid

import pyrolite


def main() -> None:
    for mode in ("single", "session", "percall"):
        print(f"--- {mode}")
        numbers = set()
        for connection in (1, 2):
            pyrolite.current_context.correlation_id = uuid.UUID(int=connection)
            with pyrolite.Proxy(f"PYRONAME:example.instancemode.{mode}") as proxy:
                print(f"connection {connection}:", proxy.who())
                print(f"connection {connection}:", proxy.who())
                numbers.add(proxy.number())
                numbers.add(proxy.number())
        print(f"{len(numbers)} different instances in 4 calls")


if __name__ == "__main__":
    main()
