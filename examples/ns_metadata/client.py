"""Looks for objects by what they are and can do, instead of by name."""

import pyrolite

PRINTER = "class:__main__.Printer"


def names(found: dict[str, str]) -> str:
    return ", ".join(sorted(name.rpartition(".")[2] for name in found)) or "none"


def main() -> None:
    with pyrolite.locateNS() as nameserver:
        print("printers of any kind:", names(nameserver.list(metadata_all={PRINTER})))
        print("with a3 paper and colour:", names(nameserver.list(metadata_all={"paper:a3", "colour"})))
        print("in the hall or in the cellar:", names(nameserver.list(metadata_any={"room:hall", "room:cellar"})))
        print("with paper that nobody has:", names(nameserver.list(metadata_all={"paper:a0"})))

        uri, metadata = nameserver.lookup("example.printer.studio", return_metadata=True)
        print(
            "the studio is at",
            uri.host,
            "and has:",
            ", ".join(sorted(tag for tag in metadata if not tag.startswith("class:"))),
        )

        # the paper in the hall has run out; this replaces all tags
        nameserver.set_metadata("example.printer.hall", {"room:hall", PRINTER})
        print("with a4 paper now:", names(nameserver.list(metadata_all={"paper:a4"})))

    with pyrolite.Proxy("PYROMETA:paper:a3,colour") as printer:
        print(printer.print_colour("hello", "red"))
    with pyrolite.Proxy("PYROMETA:paper:a4") as printer:
        print(printer.print_text("hello"))
    try:
        with pyrolite.Proxy("PYROMETA:paper:a0") as printer:
            printer.print_text("hello")
    except pyrolite.errors.NamingError as error:
        print("error:", error)


if __name__ == "__main__":
    main()
