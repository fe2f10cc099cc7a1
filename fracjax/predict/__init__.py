"""What is on these pictures? Trained stages on files that belong to no dataset.

    found = find_files([Path("clinic")])
    stages = open_stages(Path("runs/stage1"), Path("runs/stage2"), data_mesh())
    for result in predict_files(stages, found.files):
        print(result.path, result.decision, result.probability, result.type, result.reason)

Research code, not a medical device.
"""

from fracjax.predict.meter import Meter
from fracjax.predict.paths import Found, find_files
from fracjax.predict.results import Result, ResultsFile, write_results
from fracjax.predict.run import predict_files
from fracjax.predict.stages import Stages, open_stages

__all__ = [
    "Found",
    "Meter",
    "Result",
    "ResultsFile",
    "Stages",
    "find_files",
    "open_stages",
    "predict_files",
    "write_results",
]
