"""What a long fit shows: a line an epoch, or a bar."""

from __future__ import annotations

import sys
from typing import Any

from skorch.callbacks import Callback


class EpochLines(Callback):
    """One line an epoch on standard output: losses of every task, training / validation."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the line."""
        epoch = net.history[-1]
        parts = [_pair(epoch, "total", "train_loss", "valid_loss")]
        parts += [
            _pair(epoch, task, f"train_loss_{task}", f"valid_loss_{task}")
            for task in net.task_names
        ]
        sys.stdout.write(f"epoch {epoch['epoch']:>4}  " + "  ".join(parts) + "\n")
        sys.stdout.flush()


class EpochBar(Callback):
    """A progress bar over epochs, in the terminal and in notebooks."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the bar."""
        from tqdm.auto import (
            tqdm,
        )  # warns in a notebook without ipywidgets, only where a bar is asked for

        self.bar_ = tqdm(total=net.max_epochs, unit="epoch", leave=True)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Advance, and show the losses."""
        epoch = net.history[-1]
        shown = {k: f"{epoch[k]:.4f}" for k in ("train_loss", "valid_loss") if k in epoch}
        self.bar_.set_postfix(shown, refresh=False)
        self.bar_.update()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar, full if training ended by itself: one that is not is red in a notebook."""
        if net.stopped_early_:
            self.bar_.total = self.bar_.n
            if hasattr(self.bar_, "container"):  # the notebook's widget
                self.bar_.container.children[1].max = self.bar_.n
        self.bar_.close()
        del self.bar_


def _pair(epoch: dict[str, Any], label: str, train: str, valid: str) -> str:
    line = f"{label} {epoch[train]:.4f}"
    return f"{line}/{epoch[valid]:.4f}" if valid in epoch else line
