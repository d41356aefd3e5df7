"""Interleaved timing: the machine's mood hits all contestants alike, and medians drop its outliers."""

import statistics
import time


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interleave(contestants, repeats, measure=timed):
    """Median seconds of each ``{name: function}``, run in turn ``repeats`` times after a warm-up."""
    seconds = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(repeats):
        for name, run in contestants.items():
            seconds[name].append(measure(run))
    return {name: statistics.median(times) for name, times in seconds.items()}


def ratios(base, contestants, repeats, measure=timed):
    """Median over ``repeats`` of each contestant's seconds over those of ``base`` just before it."""
    for run in (base, *contestants.values()):
        run()
    found = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, run in contestants.items():
            before = measure(base)
            found[name].append(measure(run) / before)
    return {name: statistics.median(own) for name, own in found.items()}
