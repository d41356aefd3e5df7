"""What a network sees of X before tasks part: images, texts, tables with categories, or any module.

A `Trunk` is configuration that makes a module; it is passed to an estimator as ``trunk``, and so is any
`torch.nn.Module`, or a function that makes one. ``hidden_layer_sizes`` stand on top of it.

>>> from skmtl.trunks import ConvTrunk
>>> ConvTrunk(n_channels=(8, 16), input_shape=(1, 8, 8))
ConvTrunk(input_shape=(1, 8, 8), n_channels=(8, 16))
"""

from .base import ModuleTrunk, Trunk
from .conv import ConvTrunk
from .tabular import TabularTrunk
from .text import TextTrunk

__all__ = [
    "ConvTrunk",
    "ModuleTrunk",
    "TabularTrunk",
    "TextTrunk",
    "Trunk",
]
