"""What to do about a fit that asked for more memory than there is."""

from __future__ import annotations

from typing import Any

import torch


def explain(error: BaseException, estimator: Any) -> None:
    """Raise a MemoryError that says what takes memory, if it is memory that was short."""
    short = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    # on the CPU torch raises a plain RuntimeError
    short = short or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    if not short:
        return
    e = estimator
    raise MemoryError(
        f"{type(e).__name__} ran out of memory on device={e.device!r}. Lower n_members (now "
        f"{e.n_members!r}: networks trained at once), batch_size (now {e.batch_size!r}) or "
        f"hidden_layer_sizes (now {e.hidden_layer_sizes!r}), or pass X as float32 in C order, which is "
        f"used without a copy. What was asked for: {str(error).splitlines()[0]}"
    ) from error
