"""How many threads torch uses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _Shared:
    """torch has one number for all threads: those who change it at once must know of each other."""

    lock = threading.Lock()
    holders = 0
    before = 0  # what it was when nobody held it


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Let torch use so many threads meanwhile."""
    with _Shared.lock:
        if not _Shared.holders:
            _Shared.before = torch.get_num_threads()
        _Shared.holders += 1
        before = _Shared.before
    try:
        torch.set_num_threads(n_threads)
        yield
    finally:
        with _Shared.lock:
            _Shared.holders -= 1
            torch.set_num_threads(before)
