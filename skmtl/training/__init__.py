"""The engine: rows in, trained parameters out. It knows tensors and no method by name.

Network, loss function, schedule and weighting arrive as arguments. `batches` slices, `step` is the
only code that runs per batch, `net` is the shell that gives it skorch's events, `stopping` lets each
member of a stack finish on its own.
"""

from .batches import FORWARD_ROWS, Rows, TrainingData, with_empty_row
from .checkpoint import FitCheckpoint
from .clipping import Bounds, clip_bounds, open_bounds
from .copying import copied, one_member
from .freezing import Freezing
from .grouped_splits import grouped_split
from .module import MultiTaskModule, dtype_of
from .net import MultiTaskNet
from .precision import MixedPrecision
from .queries import QueryBatches, padded_rows, query_split
from .reporting import EpochBar, EpochLines
from .sampling import SampledBatches
from .sparse import SparseRows
from .splits import validation_split
from .stack import Ready, structure, train_together
from .stopping import LowestLosses, MemberStopping

__all__ = [
    "FORWARD_ROWS",
    "Bounds",
    "EpochBar",
    "EpochLines",
    "FitCheckpoint",
    "Freezing",
    "LowestLosses",
    "MemberStopping",
    "MixedPrecision",
    "MultiTaskModule",
    "MultiTaskNet",
    "QueryBatches",
    "Ready",
    "Rows",
    "SampledBatches",
    "SparseRows",
    "TrainingData",
    "clip_bounds",
    "copied",
    "dtype_of",
    "grouped_split",
    "one_member",
    "open_bounds",
    "padded_rows",
    "query_split",
    "structure",
    "train_together",
    "validation_split",
    "with_empty_row",
]
