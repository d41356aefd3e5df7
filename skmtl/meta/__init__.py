"""Learn from many tasks how to learn a new one from a few rows.

A meta-learner's network is a starting point: gradient steps on a handful of rows, the support set,
make it the network of a task. `MetaLearner` finds a start from which such steps lead far, by MAML and
its kin: FOMAML, Reptile, ANIL and Meta-SGD.

>>> import numpy as np
>>> from skmtl.meta import MetaLearner
>>> rng = np.random.default_rng(0)
>>> task = np.repeat(np.arange(100), 12)  # rows know their task; here each is a wave, shifted
>>> x, shift = rng.uniform(-3, 3, size=1200), rng.uniform(0, 3, size=100)[task]
>>> learner = MetaLearner("meta_sgd", inner_lr=0.1, max_iter=600, random_state=0)
>>> learner = learner.fit(x[:, None], np.sin(x + shift), sample_task=task)
>>> few = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
>>> wave = learner.adapt(few, np.sin(few[:, 0] + 1.5))
>>> between = np.array([[-1.5], [-0.5], [0.5], [1.5]])
>>> bool(wave.score(between, np.sin(between[:, 0] + 1.5)) > 0.9)
True
"""

from .adapted import AdaptedClassifier, AdaptedRegressor
from .learner import MetaLearner

__all__ = ["AdaptedClassifier", "AdaptedRegressor", "MetaLearner"]
