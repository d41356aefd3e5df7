"""How much work a call is, counted: no test asks a clock."""

import sys


def calls_of(call):
    """Number of calls, of Python's functions and of built-in ones, that it makes."""
    n_calls = 0

    def count(frame, event, arg):
        nonlocal n_calls
        n_calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(None)
    return n_calls
