"""Calls remote objects without pyrolite, with HTTP requests only: python client.py [URL_OF_THE_GATEWAY [KEY]]."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

DEFAULT = "http://localhost:8080/pyro/"


class Gateway:
    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"X-Pyro-Gateway-Key": key} if key else {}

    def get(self, member: str, options: str = "", **arguments: Any) -> Any:
        """Call with the arguments in the query, all of them text."""
        query = urllib.parse.urlencode(arguments)
        request = urllib.request.Request(f"{self._url}{member}?{query}")  # noqa: S310 - the user says where
        return self._send(request, {"X-Pyro-Options": options})

    def post(self, member: str, **arguments: Any) -> Any:
        """Call with the arguments in a body of JSON, which may be of any type."""
        request = urllib.request.Request(self._url + member, json.dumps(arguments).encode())  # noqa: S310 - see get
        return self._send(request, {"Content-Type": "application/json"})

    def _send(self, request: urllib.request.Request, headers: dict[str, str]) -> Any:
        for name, value in {**self._headers, **headers}.items():
            request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - the user says where
            body = response.read()
        return json.loads(body) if body else None


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else input(f"URL of the gateway [{DEFAULT}]: ") or DEFAULT
    gateway = Gateway(url, sys.argv[2] if len(sys.argv) > 2 else "")

    print("members:", gateway.get("http.calculator/$meta"))
    print("an attribute:", gateway.get("http.calculator/precision"))
    print("a call:", gateway.get("http.calculator/add", a=1.5, b=2.25))
    print("a call with a list:", gateway.post("http.calculator/statistics", values=[3, 1, 8]))
    print("a oneway call:", gateway.get("http.calculator/note", options="oneway", text="hello from HTTP"))
    try:
        gateway.get("http.calculator/divide", a=1, b=0)
    except urllib.error.HTTPError as error:
        with error:
            answer = json.load(error)
        print("an error:", error.code, answer["__class__"], answer["args"])
    try:
        gateway.get("example.hidden/secret")
    except urllib.error.HTTPError as error:
        with error:
            print("not for the web:", error.code, error.reason)


if __name__ == "__main__":
    main()
