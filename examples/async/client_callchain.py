"""Functions that are called with the result of a call as soon as it is there."""

import sys

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the kitchen: ")
    with pyrolite.Proxy(uri) as kitchen:
        pyrolite.asyncproxy(kitchen)

        # each function is given what the one before it returned; further arguments are passed on
        dish = kitchen.cook("soup", 0.1)
        dish.then(str.upper).then(str.replace, "DONE", "SERVED")
        print("chain:", dish.value)

        # a chain that is set when the result is there already runs at once, in this thread
        late = kitchen.cook("tea", 0.0)
        late.wait()
        late.then(lambda text: print("late chain with:", text))

        # one remote call whose result goes into the next one
        helper = pyrolite.Proxy(uri)
        price = kitchen.portions("pie", 3).then(helper.price).then(lambda euros: f"{euros:.2f} EUR")
        print("portions, then their price:", price.value)
        helper._pyroRelease()

        # errors end the chain, and go to the handler
        failing = kitchen.portions("pie", 0)
        failing.then(lambda number: print("never printed", number)).iferror(lambda error: print("handler:", error))
        failing.wait()
        try:
            print(failing.value)
        except ValueError as error:
            print("and still in the result:", error)


if __name__ == "__main__":
    main()
