"""A pickle says which version wrote it, and one of another version warns when it is loaded."""

from __future__ import annotations

import warnings
from typing import Any

import skmtl


class Versioned:
    """Mixin, before `BaseEstimator`, of what a user fits and keeps."""

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {**state, "_skmtl_version": skmtl.__version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        written = state.pop("_skmtl_version", "0.1.0.dev0 or before")
        if written != skmtl.__version__:
            warnings.warn(
                f"This {type(self).__name__} was pickled by skmtl {written} and is loaded by "
                f"{skmtl.__version__}: it may fail, or predict something else. Fit it anew, or load it "
                "with the version that wrote it.",
                UserWarning,
                stacklevel=2,
            )
        super().__setstate__(state)  # type: ignore[misc]
