"""Look at what was learned; plots need matplotlib (``pip install skmtl[plot]``).

>>> import pandas as pd
>>> from skmtl.inspection import TaskRelationDisplay
>>> relation = pd.DataFrame([[1.0, -0.5], [-0.5, 1.0]], ["a", "b"], ["a", "b"])
>>> TaskRelationDisplay(relation).order
[0, 1]
"""

from .displays import LossWeightsDisplay, TaskRelationDisplay

__all__ = ["LossWeightsDisplay", "TaskRelationDisplay"]
