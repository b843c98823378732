"""Does business with every bank that the name server knows."""

import pyrolite


def visit(bank: pyrolite.Proxy) -> None:
    print(f"--- {bank.name}")
    bank.open("Ada")
    try:
        bank.open("Ada")
    except ValueError as error:
        print("refused:", error)
    print("Ada has", bank.deposit("Ada", 200))
    try:
        print("Ada has", bank.withdraw("Ada", 300))
    except ValueError as error:
        print("refused:", error)
    try:
        bank.deposit("Bob", 50)
    except KeyError as error:
        print("no account:", error)


def main() -> None:
    with pyrolite.locateNS() as nameserver:
        banks = nameserver.list(prefix="example.bank.")
    for _, uri in sorted(banks.items()):
        with pyrolite.Proxy(uri) as bank:
            visit(bank)


if __name__ == "__main__":
    main()
