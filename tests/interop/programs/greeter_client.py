"""A client as users write it: ``greeter_client.py LIBRARY NAME`` uses the object of that name, prints what it got."""

import importlib
import json
import sys

Pyro = importlib.import_module(sys.argv[1])


def main():
    me = sys.argv[1]
    found = {}
    with Pyro.Proxy("PYRONAME:" + sys.argv[2]) as greeter:
        found["greeting"] = greeter.greet(me, punctuation="?")
        try:
            greeter.fail()
        except ValueError as error:
            found["error"] = [str(error), "in fail" in "".join(error._pyroTraceback)]
        found["property"] = me in greeter.greeted
        found["stream"] = list(greeter.count_down(3))
        calls = Pyro.batch(greeter)
        calls.greet("one")
        calls.greet("two")
        found["batch"] = list(calls())
    tags = "interop.kind:greeter,interop.of:" + sys.argv[2].partition(".")[2]
    with Pyro.Proxy("PYROMETA:" + tags) as greeter:
        found["by metadata"] = greeter.greet(me)
    with Pyro.locateNS() as nameserver:
        uri = nameserver.lookup(sys.argv[2])
        found["listed"] = nameserver.list(prefix=sys.argv[2]) == {sys.argv[2]: str(uri)}
    try:
        Pyro.Proxy("PYRONAME:nobody." + sys.argv[2])._pyroBind()
    except Pyro.errors.NamingError as error:
        found["unknown"] = str(error)
    sys.stdout.write(json.dumps(found) + "\n")


main()
