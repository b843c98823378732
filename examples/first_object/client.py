"""Uses the scoreboard of ``server.py``, as if it were an object of this process."""

import pyrolite


def main() -> None:
    with pyrolite.Proxy("PYRONAME:example.scoreboard") as scoreboard:
        print("Ada has", scoreboard.add("Ada", 3), "points")
        print("Bob has", scoreboard.add("Bob"), "point")
        print("Ada has", scoreboard.add("Ada"), "points")
        print("the leader is", scoreboard.leader)

        for player, points in scoreboard.history():
            print(f"  {player} +{points}")

        try:
            scoreboard.add("Bob", -5)
        except ValueError as error:
            print("the server refused:", error)

        try:
            scoreboard._cheat("Bob")
        except AttributeError as error:
            print("no way:", error)


if __name__ == "__main__":
    main()
