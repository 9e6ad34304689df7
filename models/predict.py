"""From a bundle and feature rows to scores: the one path that training's golden rows, MLflow and the service share.

No database, no plant tables: what goes in is a matrix whose columns are the bundle's plan, what comes out is plain
JSON values. Besides spec, plan, parts and reference the predictors read `evidence["scoring"]` of a bundle:

    failure   modes (names, in the order of the hazard's codes), calibration (calibration.Calibration.as_dict),
              threshold (decision.Threshold.as_dict); part `hazard`; reference ""
    quality   attributes: a list of {attribute, gate, part, unit, verdict}, where `part` names the part and
              `verdict` is that of the backtest (`skilled`, `undecided`); reference by gate, and by gate and product
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.assemble import FeaturePlan
from models.action import Part, PlannedWork, recommend
from models.bundle import Bundle
from models.calibration import Calibration
from models.decision import Threshold, decide
from models.explain import Reason, Reference, product_of, reasons, reference_key
from models.hazard import HazardModel
from models.pass_fail import LIMIT, PROBABILITY, PassFail, PassFailModel
from models.quality import AttributeModel, History
from models.similar import profiles
from models.spec import FailureSpec, ModelSpec, QualitySpec, parse_model_spec
from models.what_if import alternatives, changed
from plant.errors import SteadylineError

Floats = NDArray[np.float64]
Limits = Mapping[str, tuple[float | None, float | None]]
Histories = Mapping[tuple[str, str], History]

HAZARD, SCORING = "hazard", "scoring"
UNDECIDED = "undecided"


class FailurePredictor:
    """Failure risk, remaining life, reasons and decision for rows of equipment features."""

    spec: FailureSpec

    def __init__(self, bundle: Bundle):
        scoring = bundle.evidence[SCORING]
        self.data = bundle.data
        self.spec = _spec(bundle, FailureSpec)
        self.plan = FeaturePlan.from_json(bundle.plan)
        self.features = self.plan.features
        self.modes: tuple[str, ...] = tuple(scoring["modes"])
        self.model = cast(HazardModel, bundle.parts[HAZARD])
        self.calibration = Calibration.from_dict(scoring["calibration"])
        self.threshold = Threshold.from_dict(scoring["threshold"])
        self.reference = bundle.reference[""]

    @property
    def decision_index(self) -> int:
        """Place of the decision horizon among the horizons."""
        return self.spec.horizons_h.index(self.spec.decision_horizon.hours)

    def risk(self, values: Floats) -> Floats:
        """(n, m, k): calibrated probability of failing by mode m within horizon k."""
        return self.calibration.apply(self.model.predict_risk(values, self.spec.horizons_h))

    def predict(self, values: Floats) -> list[dict[str, Any]]:
        """One score a row of `values` (n, p): risks, failure_modes, remaining_life (days), reasons, decision, what_if.

        failure_modes are those of the decision horizon, the likeliest first. remaining_life's interval holds the
        failure with probability 0.5; `beyond`: the median lies later than the longest horizon, so it is a lower bound;
        `basis`: what the curve rests on, the row's features, or the rates of its class or of the whole population.
        """
        if not len(values):
            return []
        risk = self.risk(values)
        total = np.minimum(risk.sum(axis=1), 1.0)
        life = self.model.predict_remaining_life(values)
        hours = np.column_stack([life[name].to_numpy() for name in ("expected_h", "median_h", "lower_h", "upper_h")])
        beyond, basis = life["beyond"].to_numpy(), life["basis"].to_numpy()
        why = reasons(
            self.features, values, self.model.contributions(values, self.spec.decision_horizon.hours), self.reference
        )
        d = self.decision_index
        changes = alternatives(self.spec.what_if, self.features, values, self.reference, self._decided_on)
        return [
            {
                "risks": [
                    {"horizon": str(h), "probability": float(total[i, k])} for k, h in enumerate(self.spec.horizons)
                ],
                "decision_horizon": str(self.spec.decision_horizon),
                "failure_modes": self._modes(risk[i, :, d]),
                "remaining_life": _life(hours[i] / 24.0, bool(beyond[i]), str(basis[i])),
                "reasons": [r.as_dict() | self._compared(r.group, values[i]) for r in why[i]],
                "decision": self._decision(float(total[i, d])),
                "what_if": changes[i],
            }
            for i in range(len(values))
        ]

    def recommended(
        self, score: Mapping[str, Any], t: pd.Timestamp, planned: PlannedWork | None = None, parts: Sequence[Part] = ()
    ) -> dict[str, Any]:
        """What to do about a score of `predict` made at t, and by when: `models.action.recommend`."""
        return recommend(
            score["decision"]["action"], [r["probability"] for r in score["risks"]], self.spec.horizons_h, t,
            self.spec.costs, self.spec.terms.lead_h, planned, parts,
        )

    def what_if(self, values: Floats, changes: Mapping[str, float]) -> Floats:
        """(n, k): risk within each horizon if inputs that a person can change were set. Not causal.

        Raises SteadylineError `not_changeable`, `outside_validated_range`.
        """
        return np.minimum(
            self.risk(changed(changes, self.spec.what_if, self.features, values, self.reference)).sum(axis=1), 1.0
        )

    def _decided_on(self, values: Floats) -> Floats:
        return np.minimum(self.risk(values)[:, :, self.decision_index].sum(axis=1), 1.0)

    def headline(self, values: Floats, gates: Sequence[str] = ()) -> dict[str, Floats]:
        """The figure that drift is watched on: risk within the decision horizon, (n,)."""
        total = self.calibration.apply_total(self.model.predict_risk(values, self.spec.horizons_h).sum(axis=1))
        return {f"risk within {self.spec.decision_horizon}": total[:, self.decision_index]}

    def importance(self) -> Floats:
        """(p,): gain of each feature in the hazard's trees, as a share."""
        return self.model.hazard_.importance(len(self.features))

    @cached_property
    def _comparisons(self) -> dict[str, dict[str, int]]:
        """Signal -> which comparison (against_own, against_fleet) -> column, of the shortest window."""
        out: dict[str, dict[str, int]] = {}
        for j, feature in enumerate(self.features):
            for kind in ("against_own", "against_fleet"):
                if feature.name.startswith(f"{feature.group}.{kind}."):
                    out.setdefault(feature.group, {}).setdefault(kind, j)
        return out

    def _compared(self, group: str, values: Floats) -> dict[str, float | None]:
        """Standard deviations from the equipment's own past and from its fleet, where the model knows them."""
        return {kind: _finite(values[j]) for kind, j in self._comparisons.get(group, {}).items()}

    def _modes(self, risk: Floats) -> list[dict[str, Any]]:
        order = np.argsort(-risk, kind="stable")
        return [{"mode": self.modes[m], "probability": float(risk[m])} for m in order] if self.modes else []

    def _decision(self, risk: float) -> dict[str, Any]:
        made = decide(risk, self.threshold, self.spec.costs)
        return {
            "action": made.action, "expected_loss": made.expected_loss, "expected_saving": made.expected_saving,
            "currency": made.currency,
            "threshold": {"order_at": self.threshold.order_at, "watch_from": self.threshold.watch_from},
        }


class QualityPredictor:
    """Expected results, intervals, risk of leaving the specification and reasons for rows of batch features."""

    spec: QualitySpec

    def __init__(self, bundle: Bundle):
        listed = bundle.evidence[SCORING]["attributes"]
        self.data = bundle.data
        self.spec = _spec(bundle, QualitySpec)
        self.plan = FeaturePlan.from_json(bundle.plan)
        self.features = self.plan.features
        self.reference = bundle.reference
        self.parts: dict[tuple[str, str], dict[str, Any]] = {(p["attribute"], p["gate"]): p for p in listed}
        self.models: dict[tuple[str, str], AttributeModel | PassFailModel] = {
            key: cast(AttributeModel | PassFailModel, bundle.parts[part["part"]])
            for key, part in self.parts.items()
        }

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """Predicted attributes, in the bundle's order."""
        return tuple(dict.fromkeys(attribute for attribute, _ in self.parts))

    def predict(
        self, values: Floats, gates: Sequence[str], limits: Sequence[Limits] = (), times: Sequence[Any] | None = None,
        later: Histories | None = None, trends: Sequence[Limits] = (),
    ) -> list[dict[str, Any]]:
        """One score a row of `values` (n, p): the gate, and for each attribute what the laboratory will find.

        gates: (n,) stage gate of each row. limits: (n,) attribute -> (lower, upper), None where there is none; empty:
        no specification is known. times: (n,) when each gate was passed; only residuals known before count. later:
        (attribute, gate) -> results known since the training (they move intervals, never the expected value). trends:
        like limits, what the product's own history makes usual (`features.trend`).
        Of an attribute whose `target` is `pass_fail` (results 0 passed, 1 failed) `expected` is the probability of
        failing, an interval holds the results that are that likely together ([0, 0] passes, [1, 1] fails, [0, 1] either
        may come), `prob_bounds` are the two of Venn-Abers, and there are no limits. Others have no `prob_bounds`.
        Raises SteadylineError (`unknown_gate`) for a gate without a model.
        """
        unknown = sorted(set(gates) - {gate for _, gate in self.parts})
        if unknown:
            raise SteadylineError("unknown_gate", f"no model for gate {unknown[0]}", ", ".join(self.spec.gates))
        out: list[dict[str, Any]] = [{"gate": gate, "attributes": []} for gate in gates]
        for gate in dict.fromkeys(gates):
            rows = [i for i, g in enumerate(gates) if g == gate]
            for attribute in self.attributes:
                if (attribute, gate) not in self.parts:
                    continue
                bounds = [limits[r].get(attribute, (None, None)) if limits else (None, None) for r in rows]
                usual = [trends[r].get(attribute, (None, None)) if trends else (None, None) for r in rows]
                at = None if times is None else [times[r] for r in rows]
                known = (later or {}).get((attribute, gate))
                told = self._attribute(attribute, gate, values[rows], bounds, usual, at, known)
                for r, one in zip(rows, told, strict=True):
                    out[r]["attributes"].append(one)
        return out

    def headline(self, values: Floats, gates: Sequence[str] = ()) -> dict[str, Floats]:
        """The figures that drift is watched on, (n,) each: of each attribute at its row's gate the expected result, or
        the probability of failing.
        """
        out = {}
        for attribute in self.attributes:
            found = np.full(len(values), np.nan)
            for gate in dict.fromkeys(gates):
                rows = np.flatnonzero(np.array([g == gate for g in gates]))
                if (attribute, gate) in self.models:
                    found[rows] = self.models[attribute, gate].predict(values[rows])
            passes = any(isinstance(m, PassFailModel) for (a, _), m in self.models.items() if a == attribute)
            out[f"{PROBABILITY if passes else 'expected'} {attribute}"] = found
        return out

    def profiles(self, attribute: str, gate: str, values: Floats) -> tuple[list[str], Floats]:
        """Groups and reason profiles (n, groups) of rows (n, p): `models.similar.profiles`."""
        return profiles(self.features, self.models[attribute, gate].contributions(values))

    def profile_unit(self, attribute: str, gate: str) -> str:
        """Unit of reason profiles and of their distances."""
        if isinstance(self.models[attribute, gate], PassFailModel):
            return "log-odds of failing"
        return str(self.parts[attribute, gate]["unit"])

    def importance(self) -> Floats:
        """(p,): gain of each feature, as a share of its attribute's, summed over attributes and gates."""
        total = np.zeros(len(self.features))
        for model in self.models.values():
            for booster in model.boosters_:
                gain = np.asarray(booster.feature_importance(importance_type="gain"), dtype=np.float64)
                total += gain / gain.sum() if gain.sum() > 0 else 0.0
        return total

    def _usual(self, gate: str, row: Floats) -> Reference:
        """Usual ranges of the row's product, where it has its own, else of all products."""
        return self.reference.get(reference_key(gate, product_of(self.features, row)), self.reference[gate])

    def _attribute(
        self, attribute: str, gate: str, values: Floats, bounds: Sequence[tuple[float | None, float | None]],
        usual: Sequence[tuple[float | None, float | None]], at: Sequence[Any] | None, later: History | None,
    ) -> list[dict[str, Any]]:
        model, part = self.models[attribute, gate], self.parts[attribute, gate]
        (low, high), trend = _columns(bounds), _columns(usual)
        found = model.predict_distribution(values, at, later)
        passes = isinstance(found, PassFail)
        target, unit = ("pass_fail", PROBABILITY) if passes else ("numeric", part["unit"])
        if passes:  # nothing is specified in numbers: one result that failed is outside
            low, high = np.full(len(values), np.nan), np.full(len(values), LIMIT)
            trend = (low, np.full(len(values), np.nan))
        narrow, middle, wide = _nested([found.interval(share) for share in (0.5, 0.8, 0.9)])
        outside, untrended = found.prob_outside(low, high), found.prob_outside(*trend)
        why = reasons(
            self.features, values, model.contributions(values), [self._usual(gate, row) for row in values],
            target=f"the log-odds of failing {attribute}" if passes else f"the expected {attribute}",
        )
        sure = found.bounds.tolist() if isinstance(found, PassFail) else [None] * len(values)
        return [
            {
                "attribute": attribute, "target": target, "unit": unit, "expected": _finite(found.point[i]),
                "interval_50": [_finite(v) for v in narrow[i]], "interval_80": [_finite(v) for v in middle[i]],
                "interval_90": [_finite(v) for v in wide[i]],
                "prob_out_of_spec": _finite(outside[i]), "prob_bounds": sure[i],
                "lower_spec": _finite(low[i]), "upper_spec": None if passes else _finite(high[i]),
                "prob_out_of_trend": _finite(untrended[i]),
                "lower_trend": _finite(trend[0][i]), "upper_trend": _finite(trend[1][i]),
                "verdict": verdict(part["verdict"], found.point[i], wide[i], low[i], high[i], outside[i]),
                "reasons": _told(why[i]),
            }
            for i in range(len(values))
        ]


def _nested(intervals: list[Floats]) -> list[Floats]:
    """Intervals of growing coverage, each with what the ones before it hold: each level follows results on its own."""
    out = intervals[:1]
    for wider in intervals[1:]:
        out.append(np.column_stack([np.minimum(wider[:, 0], out[-1][:, 0]), np.maximum(wider[:, 1], out[-1][:, 1])]))
    return out


def _columns(pairs: Sequence[tuple[float | None, float | None]]) -> tuple[Floats, Floats]:
    """Lower and upper limits (n,), NaN where there is none."""
    given = np.array([[np.nan if v is None else v for v in pair] for pair in pairs], dtype=np.float64).reshape(-1, 2)
    return given[:, 0], given[:, 1]


def verdict(skill: str, point: float, interval: Floats, low: float, high: float, risk: float = 0.0) -> str:
    """What a reviewer reads first.

    `undecided`: the model did not beat the naive guess in its backtest, or too few results were known to tell the risk
    (NaN). `no_limits`: nothing is specified.
    `out_of_spec_expected`: the expected result lies outside. `at_risk`: the 90 % interval reaches outside.
    `in_spec_expected`: it does not. Bounds are NaN where there is none.
    """
    if skill == UNDECIDED:
        return UNDECIDED
    if math.isnan(low) and math.isnan(high):
        return "no_limits"
    if math.isnan(risk):
        return UNDECIDED
    if point < low or point > high:
        return "out_of_spec_expected"
    return "at_risk" if interval[0] < low or interval[1] > high else "in_spec_expected"


def _spec(bundle: Bundle, kind: type[Any]) -> Any:
    spec, problems = parse_model_spec(bundle.spec)
    if spec is None or not isinstance(spec, kind):
        found: ModelSpec | None = spec
        raise SteadylineError(
            "bundle_spec", f"the bundle's specification is not that of a {kind.__name__}: {found and found.task}",
            "a bundle of this version of Steadyline", "train again", problems,
        )
    return spec


def _life(days: Floats, beyond: bool, basis: str) -> dict[str, Any]:
    expected, median, lower, upper = (float(d) for d in days)
    return {
        "expected_days": expected, "median_days": median, "lower_days": lower, "upper_days": upper, "beyond": beyond,
        "basis": basis,
    }


def _told(why: Sequence[Reason]) -> list[dict[str, Any]]:
    return [reason.as_dict() for reason in why]


def _finite(value: float) -> float | None:
    """JSON has no infinity and no NaN: what is not known is null."""
    return float(value) if math.isfinite(value) else None


