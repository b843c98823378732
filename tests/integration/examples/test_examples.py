"""All examples run unattended, each program is a process of its own, and they print what they should."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from _plans import PLANS

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

Expected: TypeAlias = "str | re.Pattern[str]"


class Case(NamedTuple):
    """What an example has to print."""

    #: Folder of the example.
    name: str
    #: Its requirement in the specification, if it has one.
    id: str
    #: Lines by the name of the program: these have to be there in this order, others may be in between.
    lines: dict[str, list[Expected]]
    #: Programs that show tracebacks because that is what they are about.
    tracebacks: tuple[str, ...] = ()


def like(pattern: str) -> re.Pattern[str]:
    """A line that matches a regular expression from beginning to end."""
    return re.compile(pattern)


CASES = [
    Case(
        "async",
        "EX-1",
        {
            "client": [
                "ordered; ready at once? False",
                "ready within 10 ms? False",
                "ready within 5 s? True",
                "-> soup is done",
                "-> bread is done",
                "-> cake is done",
                like("four dishes of 0.3 s each, done side by side in .*"),
                "exception: nobody wants pie",
                "back to normal: tea is done",
            ],
            "client_batch": [
                "batch sent; ready at once? False",
                "-> RICE IS DONE",
                "-> PASTA IS DONE",
                "portions: 3",
                "exception in the batch: nobody wants pie",
            ],
            "client_callchain": [
                "chain: SOUP IS SERVED",
                "late chain with: tea is done",
                "portions, then their price: 10.00 EUR",
                "handler: nobody wants pie",
                "and still in the result: nobody wants pie",
            ],
        },
    ),
    Case(
        "attributes",
        "EX-2",
        {
            "client": [
                "temperature: 20.0 hot: False",
                "temperature: 200.0 hot: True",
                "too hot: ValueError: 1000 degrees are out of range",
                "notes: ['cleaned'] how many: 1",
                "length of the first note: 7",
                like("setting a read-only property: AttributeError: .*"),
                like("property that is not exposed: AttributeError: .*'serial_number'.*"),
                like("plain attribute: AttributeError: .*'colour'.*"),
                like("private attribute: AttributeError: .*'_temperature'.*"),
                like("no such attribute: AttributeError: .*'door'.*"),
                like("setting a new attribute: AttributeError: .*'door'.*"),
                like("dotted name: AttributeError: .*'note.im_func'.*"),
                "has a temperature: True has a door: False",
            ]
        },
    ),
    Case(
        "autoproxy",
        "EX-3",
        {
            "client": ["got a Proxy", "apples: 2", "pears: 1", "plums: 1"],
            "server": ["counter apples is at 2", "counter pears is at 1"],
            "client 2": [like("no proxy came, and a Counter is unknown here: .*Counter.*")],
        },
    ),
    Case(
        "autoreconnect",
        "EX-4",
        {
            who: ["ticket 1", "the connection is lost, reconnecting...", "reconnected", "ticket 1"]
            for who in ("client", "named client")
        },
    ),
    Case(
        "autoretry",
        "EX-5",
        {
            "client": [
                "first call: 3",
                "second call: the server has closed the connection",
                "third call: 11",
                "fourth call, by a retry on a new connection: 15",
            ]
        },
    ),
    Case(
        "banks",
        "EX-6",
        {
            "client": [
                "--- Harbour Bank",
                "refused: Ada has an account already",
                "Ada has -100",
                "no account: 'Bob'",
                "--- Village Bank",
                "Ada has 200",
                "refused: that would overdraw the account of Ada by 100",
            ]
        },
    ),
    Case(
        "batchedcalls",
        "EX-7",
        {
            "client": [
                like("300 single calls: .*, the total is 300"),
                like("one batch of 300 calls: .*, the total is 600"),
                "the batch was faster",
                "before the error: 5",
                "error in the batch: prices are not negative",
                "calls after the error were skipped",
                "a oneway batch returns None",
                "and is done before the next call: 30",
            ]
        },
    ),
    Case(
        "benchmark",
        "EX-8",
        {
            "client": [
                like(rf" *{kind}: +\d+ calls/s, .*")
                for kind in ("no arguments", "long text", "keyword arguments", "attribute", "oneway", "batch of ten")
            ],
            "connections": [like(r"metadata on : +\d+ connections/s"), like(r"metadata off: +\d+ connections/s")],
        },
    ),
    Case(
        "blob_dispatch",
        "EX-9",
        {
            "dispatcher": ["a message about freezer, with content that stays closed"],
            "weather": ["weather: 11.2 degrees at pier", "weather: 7.5 degrees at hill"],
            "freezer": ["freezer: -18.0 degrees at cellar"],
            "client": ["weather: 1 listeners", "freezer: 1 listeners", "sauna: 0 listeners"],
        },
    ),
    Case(
        "callback",
        "EX-10",
        {
            "client": ["worker 1 found 332833500", "worker 4 found 21325334000"],
            "client_errors": [
                "Plain: your callback failed with: division by zero",
                like("LOG: .*ZeroDivisionError.*"),
                "Marked: your callback failed with: division by zero",
            ],
        },
        tracebacks=("client_errors",),
    ),
    Case(
        "callcontext",
        "EX-11",
        {
            "client": [
                "  refused: hmac key config not symmetric",
                "  answer to connecting has annotations DAEM",
                "  answer to a call has annotations DAEM, MTHD",
                "  you are 00000000-0000-0000-0000-0000000007e8",
                "  annotations of the answer: from the method and from the daemon",
                "a oneway call:",
                "  annotations of the answer: -",
                "an asynchronous call:",
                "  you are 00000000-0000-0000-0000-0000000007e8",
            ],
            "server": [
                "first: call from 127.0.0.1",
                "  annotations: from the proxy, from the context",
                "second: call from 127.0.0.1",
                "  annotations: from the proxy, -",
            ],
        },
    ),
    Case(
        "chatbox",
        "EX-12",
        {
            "Ada": [
                "joined garden, where there are: none yet",
                "[garden] SERVER: Bob has joined",
                "[garden] Bob: hello all",
                "[garden] SERVER: Bob has left",
            ],
            "Bob": [like(".*joined garden, where there are: Ada"), "[garden] Ada: hello Bob"],
            "server": ["[garden] Bob: hello all", "Eve is gone"],
        },
    ),
    Case(
        "circular",
        "EX-13",
        {
            "A": ["A: passing on to B", "A: the circle is closed", "A: the answer came back"],
            "client": ["the way around: A -> B -> C -> A"],
        },
    ),
    Case(
        "control_room",
        "",
        {
            "start": [
                "the supervisor is ready",
                "*** crashing the server of the oven",
                "oven: connection lost",
                like(r"oven: back in process \d+, after .* s"),
                "*** the oven has a new process: True starts: 2",
                like("oven           ok   .*"),
                "the laboratory has closed",
            ],
            "experiment": [
                "the oven goes to 150.0 °C",
                "refused: oven cannot go to 1000.0 °C, only from 0 to 300 °C",
                "the balance went from more than 40 g to zero: True",
                "the brightest line is at 589.0 nm",
            ],
            "supervisor": ["the supervisor and all instruments have ended"],
        },
    ),
    Case(
        "deadlock",
        "EX-14",
        {
            "client": [
                "  no answer: the call waits for the callback, the callback waits for the call",
                "  Bob says: good morning, fine weather today",
                "  Bob says: good evening, fine weather today",
            ]
        },
    ),
    Case(
        "diffie_hellman",
        "EX-15",
        {
            "client": [
                "agreed on a key of 32 bytes",
                "without the key: hmac key config not symmetric",
                "with the key: the treasure is under the oak",
            ]
        },
    ),
    Case(
        "disconnects",
        "EX-16",
        {
            "client": [
                "with a Proxy:",
                "  third call, after a pause: the server has closed the connection",
                "with a CheckingProxy:",
                "  no answer to the ping: connecting again",
                "  third call, after a pause: tock",
            ],
            "server": ["a client is gone"],
        },
    ),
    Case(
        "distributed_computing",
        "EX-17",
        {
            "client": [
                "1000000001 = 7 * 11 * 13 * 19 * 52579",
                like("20 results from [12] workers: .*"),
            ],
            "Ada": ["Ada ends"],
        },
    ),
    Case(
        "distributed_computing2",
        "EX-18",
        {"client": ["180 lines for 3 counters", "   260 the", "   240 that"], "server": ["counter 3: 60 lines"]},
    ),
    Case(
        "distributed_computing3",
        "EX-19",
        {
            "client": [
                "primes: 1000003 1000033 1000037 1000039",
                like(r"one did \d+ of 40 calls"),
                like(r"two did \d+ of 40 calls"),
                "all 40 calls were answered by 2 workers",
            ]
        },
    ),
    Case(
        "distributed_mandelbrot",
        "EX-20",
        {
            "client_text": [
                "2 calculators",
                like(r" +\.{5}:@{5}\.{3}"),
                like(r" +\.{9}-@{33}#\.\."),
                like("60 x 24 in .* s"),
            ]
        },
    ),
    Case(
        "echoserver",
        "EX-21",
        {
            "client": [
                "echo: [1, 2, {'three': 4}]",
                "stream: one, two, three",
                "not a number: nan infinity: inf",
                "error: expected error from echoserver error() method",
                "oneway: None",
                "the server ends",
            ]
        },
    ),
    Case(
        "eventloop",
        "EX-22",
        {
            "server_threads": ["somebody asks where the name server is", "the loop ends"],
            "client": [
                like("found PYRO:Pyro.NameServer@localhost:.*"),
                "hello Ada, from a thread of the pool",
                "hello Bob, from a thread of the pool",
            ],
            "client 2": ["hello Ada, from the main thread", "hello Bob, from the main thread"],
        },
    ),
    Case(
        "exceptions",
        "EX-23",
        {
            "client": [
                "no error: returned 2.0",
                "division: ZeroDivisionError: division by zero",
                like("wrong type: TypeError: .*"),
                "key: KeyError: 'two'",
                "file: FileNotFoundError: [Errno 2] No such file or directory: '/no/such/file'",
                like("wrong number of arguments: TypeError: .*"),
                like("no such method: AttributeError: .*"),
                "an error of the library: CommunicationError: as if the server could not reach another one",
                like("a class that is unknown here: .*UnknownHereError.*something special.*"),
                like("an error that cannot be sent: PyroError: Error serializing exception: .*"),
                like("a result that cannot be sent: .*"),
                "an exception as a value: returned KeyError('a value like others')",
                " +--- This exception occured remotely (Pyro) - Remote traceback:",
                like(r" \| +return a / b"),
                " +--- End of remote traceback",
            ],
            "client 2": ["ZeroDivisionError: division by zero", " +--- End of remote traceback"],
        },
        tracebacks=("client", "client 2"),
    ),
    Case(
        "extended_pickle",
        "EX-24",
        {
            "client": [
                "with cloudpickle:",
                "  function: [1, 8, 27]",
                "  lambda: ['reward', 'evil']",
                "  a function from the server: 42",
                "  function with a global variable: [10, 20]",
                "with dill:",
                "  function: [1, 8, 27]",
                "  a function from the server: 42",
                "with serpent:",
                "  refused: message used serializer that is not accepted: 1",
            ]
        },
    ),
    Case(
        "filetransfer",
        "EX-25",
        {
            "client": [
                like(" +as_result: 2.0 MB in .*"),
                like(" +as_stream: 2.0 MB in .*"),
                like(" +in_annotations: 2.0 MB in .*"),
                like(" +on_socket: 2.0 MB in .*"),
                "all of them brought the same data: True",
            ]
        },
    ),
    Case(
        "first_object",
        "",
        {
            "client": [
                "Ada has 3 points",
                "Bob has 1 point",
                "Ada has 4 points",
                "the leader is Ada",
                "  Ada +3",
                "  Bob +1",
                "  Ada +1",
                "the server refused: Bob cannot lose points",
                like(".*has no exposed attribute or method '_cheat'"),
            ],
            # one instance serves two clients, one after the other: behavior "single", [DMN-70]
            "client 2": ["Ada has 7 points", "Bob has 2 point", "Ada has 8 points"],
        },
    ),
    Case(
        "flame",
        "EX-26",
        {
            "client": [
                "a process id of the server: True",
                "the largest, found there: 99",
                "evaluated there: 285",
                "a variable that stays there: 42",
                "an error there: division by zero",
                "a function of a module that was sent: [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]",
                "its source is back: True",
                "a file of the server: written from far away",
            ],
            "console": [like(r"\(Remote console on .*\)"), like(".*twice: 42"), "(Remote session ended)"],
        },
    ),
    Case(
        "futures",
        "EX-27",
        {
            "background": [
                "ready at once? False",
                "the sum is 6",
                "sums: 0 2 4 6 8 10 12 14 16 18",
                "ten of 0.2 s each took less than one second: True",
                "chain: 42 and more",
                "handler: division by zero",
                "in the result: division by zero",
                "cancelled: True",
                "so its result is: future has been cancelled",
            ]
        },
    ),
    Case(
        "gui_eventloop",
        "EX-28",
        {
            "headless": [
                "shown: hello",
                "shown: from another program",
                "shown: bye",
                "the loop went on all the time: True",
            ],
            "client": ["sent 5 letters", "sent 20 letters", "sent 3 letters"],
        },
    ),
    Case(
        "handshake",
        "EX-29",
        {
            "client": [
                "refused: you do not know the word",
                "refused: you do not know the word",
                "the server says: {'welcome': 'Gimli', 'rules': ['do not run']}",
                "the treasure has 42 pieces",
            ],
            "server": ["None knocks", "Gimli knocks", "Gimli knocks", "somebody has left"],
        },
    ),
    Case(
        "http",
        "EX-30",
        {
            "client": [
                like("members: .*'statistics'.*'precision'.*"),
                "an attribute: 2",
                "a call: 3.75",
                "a call with a list: {'smallest': 1, 'largest': 8, 'mean': 4.0}",
                "a oneway call: None",
                "an error: 500 builtins.ZeroDivisionError ['float division by zero']",
                "not for the web: 403 Forbidden",
            ],
            "server": ["noted: hello from HTTP"],
            **(
                {
                    "node": [
                        "a call: 3.75",
                        'a call with a list: {"smallest":1,"largest":8,"mean":4}',
                        "side by side: 2 4 6",
                        "an error: builtins.ZeroDivisionError: float division by zero",
                        like("an error: 403 Forbidden .*"),
                    ]
                }
                if shutil.which("node")
                else {}
            ),
        },
    ),
    Case(
        "hugetransfer",
        "EX-31",
        {
            "client": [
                expected
                for serializer in ("serpent", "json", "marshal", "msgpack")
                for expected in (
                    f"{serializer}, 1.0 MB:",
                    like(r" +text: +\d+ MB/s"),
                    like(r" +bytes: +\d+ MB/s"),
                    like(r" +bytearray: +\d+ MB/s"),
                    like(r" +result: +\d+ MB/s"),
                    like(r" +pieces: +\d+ MB/s"),
                )
            ]
        },
    ),
    Case(
        "instancemode",
        "EX-32",
        {
            "client": [
                "--- single",
                "connection 2: Single instance, call 4 of it",
                "1 different instances in 4 calls",
                "--- session",
                "connection 2: Session instance, call 2 of it, made for 00000000-0000-0000-0000-000000000002",
                "2 different instances in 4 calls",
                "--- percall",
                "connection 2: PerCall instance, call 1 of it",
                "4 different instances in 4 calls",
            ],
            "server": ["creating a Session for 00000000-0000-0000-0000-000000000001"],
        },
    ),
    Case(
        "maxsize",
        "EX-34",
        {
            "client": [
                "without a limit in the client:",
                "  sending 2000 letters: 2000",
                like(r"  sending 9000 letters: MessageTooLargeError, .* where max=5000\)"),
                "  getting 2000 letters: 2000",
                like(r"  getting 9000 letters: MessageTooLargeError, .* where max=5000\)"),
                "with a limit of 1000 in the client:",
                "  sending 500 letters: 500",
                like(r"  sending 2000 letters: MessageTooLargeError, .* where max=1000\)"),
                like(r"  getting 2000 letters: MessageTooLargeError, .* where max=1000\)"),
            ]
        },
    ),
    Case(
        "messagebus",
        "EX-35",
        {
            "publisher": ["published 2 messages; waiting for subscribers: {'news': 2}"],
            "subscriber": ["news: first", "news: second", "news: third"],
            "server 2": [
                "a message bus with a SqliteStorage",
                "4 messages are too much for one batch, sending them one by one",
            ],
            "subscriber 2": ["large: 1500 letters"] * 4,
            "server 3": ["a message bus with a MemoryStorage"],
            "publisher 4": ["published 1 messages; waiting for subscribers: {'news': 1}"],
        },
    ),
    Case(
        "nameserverstress",
        "EX-36",
        {
            "stress": [
                like("600 calls from 5 threads, .*"),
                "calls: {'list': 200, 'lookup': 200, 'register': 100, 'remove': 100}",
                "errors: none",
                "as many names as before: True",
            ]
        },
    ),
    Case(
        "nonameserver",
        "EX-37",
        {
            "server": ["protocol PYRO object example.fortune host localhost"],
            "client": ["Ada, you will meet a tall dark server", "the same URI: True"],
        },
    ),
    Case(
        "ns_metadata",
        "EX-38",
        {
            "client": [
                "printers of any kind: cellar, hall, studio",
                "with a3 paper and colour: studio",
                "in the hall or in the cellar: cellar, hall",
                "with paper that nobody has: none",
                "the studio is at localhost and has: colour, paper:a3, room:studio",
                "with a4 paper now: cellar",
                "'hello' in red comes out in the studio",
                "'hello' comes out of the Printer in the cellar",
                like("error: no registrations available with desired metadata properties .*"),
            ]
        },
    ),
    Case(
        "oneway",
        "EX-39",
        {
            "client": [
                "result: None",
                "result of the failing one: None",
                "that took no time: True",
                "the next call did not have to wait: True",
                "the three were done side by side: True",
            ],
            "client 2": ["the next call had to wait until all three were done: True"],
        },
    ),
    Case("proxysharing", "EX-40", {"client": ["wrong answers: none", "own proxies are faster: True"]}),
    Case(
        "remote_control",
        "EX-33",
        {
            "remote": [
                "now: Blue Danube",
                "now: Greensleeves",
                "volume: 11",
                "not possible: the volume goes from 0 to 11",
                "now: silence",
            ]
        },
    ),
    Case(
        "resourcetracking",
        "EX-41",
        {
            "server": [
                "a client is gone, and leaves: safe",
                "safe is closed",
                "door is closed",
                "a client is gone, and leaves: window",
                "window is closed",
            ]
        },
    ),
    Case(
        "robots",
        "EX-42",
        {
            "gameserver": [
                "the arena is ready; waiting for 2 players",
                like(r"turn \d+: .*"),
                like("left at the end: .+"),
            ],
            "Ada": [like(r"Ada was asked \d+ times, and has (won|lost)")],
            "Bob": [like(r"Bob was asked \d+ times, and has (won|lost)")],
        },
    ),
    Case(
        "ser_custom",
        "EX-43",
        {
            "client": [
                "without hooks: SerializeError",
                *(
                    line
                    for serializer in ("serpent", "json", "marshal", "msgpack")
                    for line in (
                        f"{serializer}: Point(x=1.0, y=2.0), nested: Point(x=3, y=0)",
                        f"{serializer}: TooFewPointsError, 1 is not enough",
                    )
                ),
            ]
        },
    ),
    Case(
        "servertypes",
        "EX-44",
        {
            "client": [like("4 calls of 0.2 s each took .* s: side by side, in 4 threads")],
            "client 2": [
                like("4 calls of 0.2 s each took .* s: one after the other, in 1 threads"),
                "oneway calls with threads: the next call does not wait",
                "oneway calls without threads: the next call waits for them",
            ],
        },
    ),
    Case(
        "shoppingcart",
        "EX-45",
        {
            "customers": [
                "in the shop: Ada, Bob",
                "Bob: there is no submarine here",
                "Ada pays 4.00",
                "Ada's cart is gone: unknown object",
                "Bob pays 25.00",
                "in the shop: nobody",
            ],
            "shop": ["Ada comes in", "Bob pays 25.00"],
        },
    ),
    Case(
        "socketpair",
        "EX-46",
        {
            "with_threads": ["proxy 1: 10 {1, 2, 10}", "proxy 2: 20 {1, 2, 20}", "the server has noticed the end"],
            "with_fork": ["proxy 1: 10 {1, 2, 10}", "proxy 2: 20 {1, 2, 20}", "the child has ended with 0"],
        },
    ),
    Case(
        "ssl",
        "EX-47",
        {
            "client": [
                "without TLS:",
                like("  no connection: .*"),
                "without knowing the authority:",
                like("  no connection: .*"),
                "without a certificate:",
                like("  no connection: .*"),
                "with the certificate of a stranger:",
                like("  no connection: .*"),
                "with the right certificate:",
                "  the server has the certificate of localhost from Example Ltd",
                "  the safe contains gold",
            ],
            "server": ["a client with the certificate of client from Example Ltd"],
        },
    ),
    Case(
        "stockquotes",
        "EX-48",
        {
            "phase 1": [like("Village: (HEN|COW) .*"), like("Harbour: (COD|EEL) .*")],
            "viewer": [like("Village: (HEN|COW) .*"), like("Harbour: (COD|EEL) .*")] * 5,
            "viewer 2": [like(".*: seen 5 quotes")] * 2,
            "stockmarket": ["Village: a viewer has left"],
        },
    ),
    Case(
        "stockquotes_old",
        "EX-48",
        {
            "viewer": [like("(Village: HEN|Harbour: COD) .*")] * 6 + ["seen enough"],
            "aggregator": ["a viewer of HEN, COD", "a viewer is gone"],
            "viewer 2": [like("Village: COW .*")] * 6 + ["seen enough"],
            "Village 2": ["the market Village has closed"],
        },
    ),
    Case(
        "streaming",
        "EX-49",
        {
            "client": [
                "a list comes as a whole: [1, 2, 3]",
                "an iterator comes item by item: 1 2 3",
                "a generator as well: one two three",
                "a slow one is there at once: True",
                "and takes as long as it takes: True",
                "some of a stream without end: 0 1 2 3 4",
                "more of it: 5 6 7 8 9",
                "before the error: 10",
                like("error in the generator: .*"),
                "before the connection is lost: 0 1 2",
                "after reconnecting: 3 4 5",
            ],
            "server": ["a stream without end has been closed"] * 2,
        },
    ),
    Case(
        "systemd",
        "EX-56",
        {
            "nsc": ["Registered example.service"],
            "service 2": ["Persistent store contains 2 existing registrations.", "NS shut down."],
            "nsc 2": ["PYRO:object@localhost:4444"],
        },
    ),
    Case(
        "thirdpartylib",
        "EX-50",
        {
            "client": [
                "exposed class:",
                "  describe: SerializeError",
                "  reset: RuntimeError",
                "adapter:",
                "  describe: {'place': 'hill', 'celsius': 12.5}",
                "  reset: AttributeError",
            ]
        },
    ),
    Case(
        "timeout",
        "EX-51",
        {
            "client": [
                like("no timeout: slept for 0.5 s, .*"),
                like("timeout of the proxy: TimeoutError, .*"),
                like("quick enough: slept for 0.0 s, .*"),
                like("timeout from the configuration: TimeoutError, .*"),
                like("a server that is not responding: TimeoutError, .*"),
            ]
        },
    ),
    Case(
        "timezones",
        "EX-52",
        {
            "client": [
                "serpent: travels as str; the same moment comes back: True",
                "json: travels as str; the same moment comes back: True",
                "marshal: travels as str; the same moment comes back: True",
                like("msgpack: msgpack cannot serialize datetime with timezone info.*"),
                "msgpack: travels as str, made by hand; the same moment comes back: True",
                "pickle: travels as datetime; the same moment comes back: True",
            ]
        },
    ),
    Case(
        "unixdomainsock",
        "EX-53",
        {
            "client": [like("a file: .*example.sock'"), "the server sees a connection of kind Unix"],
            "server": ["the file is gone: True"],
        },
    ),
    Case(
        "usersession",
        "EX-54",
        {
            "client": [
                "Ada's basket: apples",
                "Bob's basket: books",
                "Ada's basket: apples, almonds",
                "refused: unknown user",
                "the wall: Ada: hello; Bob: hi",
            ]
        },
    ),
    Case(
        "warehouse",
        "EX-55",
        {
            "phase 1": ["Henry goes home with the lamp"],
            "phase 2": ["Henry goes home with the lamp"],
            "warehouse": ["Janet stored the lamp", "Henry took the lamp"],
            "phase 3": [
                "Henry goes home with the lamp",
                "ValueError: there is no lamp",
                " +--- This exception occured remotely (Pyro) - Remote traceback:",
                " +--- End of remote traceback",
            ],
        },
        tracebacks=("phase 3",),
    ),
]

#: What no program should print unless it is about that: errors that were not caught, warnings, complaints at the exit.
_TROUBLE = re.compile(r"^(Traceback \(most recent call last\)|Exception ignored|.*\w+Warning: )")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_prints_what_it_should(case: Case, perform: Callable[[str], dict[str, list[str]]]) -> None:
    """[EX-1] to [EX-56]; the table says which."""
    printed = perform(case.name)
    for program, expected in case.lines.items():
        rest = iter(printed[program])
        for wanted in expected:
            assert any(_matches(wanted, line) for line in rest), (program, wanted, printed[program])
    for program, lines in printed.items():
        if program not in case.tracebacks:
            assert [line for line in lines if _TROUBLE.match(line)] == []


def _matches(wanted: Expected, line: str) -> bool:
    return line == wanted if isinstance(wanted, str) else wanted.fullmatch(line) is not None


def folders() -> list[Path]:
    return sorted(path for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))


def test_each_example_is_performed_and_tested() -> None:
    names = [folder.name for folder in folders()]
    assert names == sorted(PLANS) == sorted(case.name for case in CASES)


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_has_a_readme_that_names_its_programs(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert 5 <= len(text.splitlines()) <= 30
    assert f"({folder.name}/)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    programs = {path.name for path in (EXAMPLES / "run.py", *folder.rglob("*.py"))}
    assert {Path(program).name for program in re.findall(r"[\w/]+\.py\b", text)} <= programs
    runnable = [path for path in folder.rglob("*.py") if "__main__" in path.read_text(encoding="utf-8")]
    for path in runnable:
        assert path.stem in text, f"the readme does not say what {path.name} is for"
