"""Interleaved timing: the machine's mood hits all contestants alike, and medians drop its outliers."""

import statistics
import time


def interleave(contestants, repeats):
    """Median seconds of each ``{name: function}``, run in turn ``repeats`` times after a warm-up."""
    seconds = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(repeats):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}
