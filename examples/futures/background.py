"""Local functions that run in the background, and what happens with their results. No server is needed."""

import time

from pyrolite import Future


def slow_sum(*numbers: int) -> int:
    time.sleep(0.2)
    return sum(numbers)


def main() -> None:
    # calling a Future starts the function in a thread and returns a FutureResult at once
    result = Future(slow_sum)(1, 2, 3)
    print("ready at once?", result.ready)
    print("the sum is", result.value)  # waits

    # several at the same time
    started = time.perf_counter()
    results = [Future(slow_sum)(number, number) for number in range(10)]
    print("sums:", *(result.value for result in results))
    print("ten of 0.2 s each took less than one second:", time.perf_counter() - started < 1)

    # functions that are called with the result, one after the other
    chained = Future(slow_sum).then(str).then("{} and {}".format, "more")
    print("chain:", chained(20, 22).value)

    # an error goes to the handler and stays in the result
    failing = Future(slow_sum).then(lambda total: total / 0).iferror(lambda error: print("handler:", error))
    result = failing(1)
    result.wait()
    try:
        print(result.value)
    except ZeroDivisionError as error:
        print("in the result:", error)

    # a function can be postponed, and cancelled while it has not begun
    postponed = Future(slow_sum)
    print("postponed:", postponed.delay(60))
    result = postponed(1, 1)
    print("cancelled:", postponed.cancel())
    try:
        print(result.value)
    except RuntimeError as error:
        print("so its result is:", error)


if __name__ == "__main__":
    main()
