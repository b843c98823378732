"""A Python session in a process of its own: told by lines of JSON what to do, it answers with lines of JSON."""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import sys
import traceback
from typing import Any

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


def run(source: str, place: str, names: dict[str, Any]) -> dict[str, str]:
    """Execute statements."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            exec(compile(source, place, "exec"), names)
    except BaseException:
        return {"output": output.getvalue(), "failure": traceback.format_exc()}
    return {"output": output.getvalue(), "failure": ""}


def type_in(source: str, place: str, names: dict[str, Any]) -> dict[str, str]:
    """Execute what stands behind the prompts, and compare what comes."""
    test = doctest.DocTestParser().get_doctest(source, {}, place, place, 0)
    test.globs = names
    if not test.examples:
        return {"output": "", "failure": "there is no prompt in it"}
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test, out=report.write, clear_globs=False)
    return {"output": "", "failure": report.getvalue()}


def main() -> None:
    """Serve until the end of the input."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr
    sys.path[0] = os.getcwd()
    names: dict[str, Any] = {"__name__": "__main__"}
    for line in sys.stdin:
        request = json.loads(line)
        do = {"python": run, "pycon": type_in}[request["kind"]]
        answers.write(json.dumps(do(request["text"], request["place"], names)) + "\n")
        answers.flush()
    # what a page leaves running ends with it
    answers.close()
    os._exit(0)


if __name__ == "__main__":
    main()
