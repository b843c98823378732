"""Two customers at the same time."""

import pyrolite


def main() -> None:
    with pyrolite.Proxy("PYRONAME:example.shop") as shop:
        ada, bob = shop.enter("Ada"), shop.enter("Bob")
        print("in the shop:", ", ".join(shop.customers()))
        with ada, bob:
            ada.put("apple")
            bob.put("lamp")
            ada.put("bread")
            ada.put("apple")
            try:
                bob.put("submarine")
            except ValueError as error:
                print("Bob:", error)
            print("Ada has", ", ".join(ada.content()))
            print("Bob has", ", ".join(bob.content()))
            print(f"Ada pays {shop.pay('Ada'):.2f}")
            try:
                ada.put("cheese")
            except pyrolite.errors.DaemonError as error:
                print("Ada's cart is gone:", error)
        print(f"Bob pays {shop.pay('Bob'):.2f}")
        print("in the shop:", ", ".join(shop.customers()) or "nobody")


if __name__ == "__main__":
    main()
