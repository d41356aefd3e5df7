"""Multi-task learning for scikit-learn: one torch network, several targets, `fit` and `predict`."""

from skmtl._classifier_regressor import MultiTaskClassifierRegressor
from skmtl._minimax_deviation_classifier import MinimaxDeviationClassifier
from skmtl._minimax_models import GaussianModel
from skmtl._pure import MultiTaskClassifier, MultiTaskRegressor
from skmtl._soft_sharing_ensemble import SoftSharingEnsemble

__version__ = "0.1.0.dev0"

__all__ = [
    "GaussianModel",
    "MinimaxDeviationClassifier",
    "MultiTaskClassifier",
    "MultiTaskClassifierRegressor",
    "MultiTaskRegressor",
    "SoftSharingEnsemble",
]
