"""Learn from many tasks how to learn a new one from a few rows.

A meta-learner's network is a starting point: gradient steps on a handful of rows, the support set,
make it the network of a task. `MetaLearner` finds a start from which such steps lead far, by MAML and
its kin: FOMAML, Reptile, ANIL and Meta-SGD.
"""

from .adapted import AdaptedClassifier, AdaptedRegressor
from .learner import MetaLearner

__all__ = ["AdaptedClassifier", "AdaptedRegressor", "MetaLearner"]
