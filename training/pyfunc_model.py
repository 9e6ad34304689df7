"""The model as MLflow loads it outside this repository: `mlflow.pyfunc.load_model(uri).predict(rows)`.

MLflow runs this file when it loads a version. Rows are a frame whose columns are the bundle's features (NaN = not
known); the answer is one column `score`, the JSON form of what the service says about such a row. For quality models
the parameter `gate` names the stage gate; without it the last one of the model counts.
"""

from __future__ import annotations

import json
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import set_model

from models import bundle as bundles
from models.predict import FailurePredictor, QualityPredictor


class SteadylineModel(mlflow.pyfunc.PythonModel):
    """Scores feature rows with a bundle, which is refused when its content does not match its hash."""

    def load_context(self, context: Any) -> None:
        """Read the bundle that MLflow keeps beside this file."""
        bundle = bundles.read(context.artifacts["bundle"])
        self._predictor = FailurePredictor(bundle) if bundle.task == "failure" else QualityPredictor(bundle)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row of JSON for each row of features."""
        names = [f.name for f in self._predictor.features]
        values = np.ascontiguousarray(model_input[names].to_numpy(dtype=np.float64))
        if isinstance(self._predictor, FailurePredictor):
            scores = self._predictor.predict(values)
        else:
            gate = (params or {}).get("gate") or self._predictor.spec.gates[-1]
            scores = self._predictor.predict(values, [gate] * len(values))
        return pd.DataFrame({"score": [json.dumps(s) for s in scores]})


set_model(SteadylineModel())
