"""What of metadata routing a release of scikit-learn has."""

import pytest
import sklearn
from sklearn.utils.fixes import parse_version

# to the default score of a Pipeline: scikit-learn #31898
scores_pipelines = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="scikit-learn routes nothing to the default score of a Pipeline before 1.8",
)
