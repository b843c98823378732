"""Sends a moment with its time zone, with each serializer."""

import datetime
import sys
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyrolite


def zone() -> datetime.tzinfo:
    try:
        return ZoneInfo("Europe/Amsterdam")
    except ZoneInfoNotFoundError:  # no time zones in this system; the package tzdata has them, too
        return datetime.timezone(datetime.timedelta(hours=1))


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the times: ")
    moment = datetime.datetime(2031, 1, 15, 20, 30, tzinfo=zone())
    utc = moment.astimezone(datetime.timezone.utc)
    print("the moment:", moment.isoformat())
    for serializer in ("serpent", "json", "marshal", "msgpack", "pickle"):
        with pyrolite.Proxy(uri) as times:
            times._pyroSerializer = serializer
            try:
                result = times.echo(moment)
                kind = times.kind(moment)
            except pyrolite.errors.SerializeError as error:
                print(f"{serializer}: {error}")
                # what always works: text in a standard form, which says where the zone is
                result, kind = times.echo(moment.isoformat()), "str, made by hand"
            back = datetime.datetime.fromisoformat(result) if isinstance(result, str) else result
            print(f"{serializer}: travels as {kind}; the same moment comes back: {back == utc}")


if __name__ == "__main__":
    main()
