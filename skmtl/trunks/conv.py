"""Trunks of convolutions: images, signals, volumes."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from skmtl._checks import check_int

from .base import Trunk, check_layers

if TYPE_CHECKING:
    from typing_extensions import Self

# by the dimensions of a row, channels among them
CONV = {2: nn.Conv1d, 3: nn.Conv2d, 4: nn.Conv3d}
NORM = {2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d}
MAX_POOL = {2: nn.MaxPool1d, 3: nn.MaxPool2d, 4: nn.MaxPool3d}
MEAN_POOL = {2: nn.AdaptiveAvgPool1d, 3: nn.AdaptiveAvgPool2d, 4: nn.AdaptiveAvgPool3d}


class ConvTrunk(Trunk):
    """Convolutions, each normalised over its batch and rectified, and means over a small grid.

    X is (n, channels, height, width); (n, channels, length) for signals and with a third extent for
    volumes. Rows that were flattened say with ``input_shape`` what they were. Scale pixels to about
    unit size.

    Parameters
    ----------
    n_channels : tuple of int, default=(16, 32)
        Channels of each convolution. Extents are halved after each but the last, by largest values.
    kernel_size : int, default=3
        Extent of the kernels, odd.
    grid : int, default=4
        Cells along each extent of the grid whose means are the features:
        ``n_channels[-1] * grid ** 2`` of them for images.
    input_shape : tuple of int or None, default=None
        Shape of a row, channels first, where X is (n, d). None: as X has it.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998). Gradient-based learning applied to document
    recognition. Proceedings of the IEEE 86, 2278-2324.
    S. Ioffe, C. Szegedy (2015). Batch normalization: accelerating deep network training by reducing
    internal covariate shift. ICML.

    Examples
    --------
    >>> import torch
    >>> from skmtl.trunks import ConvTrunk
    >>> module = ConvTrunk(n_channels=(8, 16), grid=2).build((1, 8, 8))
    >>> module(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 64])
    """

    def __init__(self, n_channels=(16, 32), kernel_size=3, grid=4, input_shape=None):
        self.n_channels = n_channels
        self.kernel_size = kernel_size
        self.grid = grid
        self.input_shape = input_shape

    def prepare(self, X: np.ndarray) -> Self:
        """Settle the shape of a row."""
        self._rows = found = tuple(X.shape[1:])
        if self.input_shape is None:
            if len(found) not in CONV:
                raise ValueError(
                    f"ConvTrunk takes rows of shape (channels, height, width). Found X of shape "
                    f"{X.shape}: give it a dimension of channels, or say input_shape."
                )
            self.input_shape_ = found
            return self
        shape = check_layers(self.input_shape, "input_shape", self)
        if len(shape) not in CONV:
            raise ValueError(
                f"Parameter input_shape of ConvTrunk must be (channels, height, width). Found {shape}."
            )
        if prod(found) != prod(shape):
            raise ValueError(
                f"Parameter input_shape={shape} of ConvTrunk makes {prod(shape)} numbers a row, and X "
                f"of shape {X.shape} has {prod(found)}."
            )
        self.input_shape_ = shape
        return self

    def _shape_of_rows(self) -> tuple[int, ...]:
        return self._rows

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the module; see `Trunk.build`."""
        channels = check_layers(self.n_channels, "n_channels", self)
        check_int(self.kernel_size, "kernel_size", self, low=1)
        check_int(self.grid, "grid", self, low=1)
        if self.kernel_size % 2 == 0:
            raise ValueError(
                f"Parameter kernel_size of ConvTrunk must be odd. Found {self.kernel_size!r}."
            )
        kind = len(input_shape)
        layers: list[nn.Module] = []
        for n_in, n_out in zip((input_shape[0], *channels), channels, strict=False):
            if layers:
                layers.append(MAX_POOL[kind](2, ceil_mode=True))
            # no bias: the mean over the batch is taken off, and Adam would step on what rounding leaves
            convolution = CONV[kind](
                n_in, n_out, self.kernel_size, padding=self.kernel_size // 2, bias=False
            )
            layers += [convolution, NORM[kind](n_out), nn.ReLU()]
        return nn.Sequential(*layers, MEAN_POOL[kind](self.grid), nn.Flatten())
