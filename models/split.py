"""How the rows of a model are divided, by time or by unit, and the kinds of values that its YAML is made of."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from models.yaml_problems import utc_time
from plant.errors import listing

Time = Annotated[pd.Timestamp, BeforeValidator(utc_time), PlainSerializer(lambda t: t.isoformat(), return_type=str)]
Share = Annotated[float, Field(gt=0, lt=1)]


def _words_or_all(value: Any) -> Any:
    if value == "all" or (isinstance(value, (list, tuple)) and value and all(isinstance(v, str) and v for v in value)):
        return value
    raise ValueError("all, or a list of one or more names")


Names = Annotated[Literal["all"] | tuple[str, ...], BeforeValidator(_words_or_all)]


class Strict(BaseModel):
    """A block of a YAML that takes no key but its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, validate_default=True)


class TestEquipment(Strict):
    """Units that are tested and never learnt from: those of all that is named here. equipment_id may hold patterns."""

    __test__ = False  # no test of pytest

    equipment_id: Names = "all"
    equipment_class: Names = "all"
    area: Names = "all"
    line: Names = "all"

    @model_validator(mode="after")
    def _some(self) -> TestEquipment:
        if all(names == "all" for names in (self.equipment_id, self.equipment_class, self.area, self.line)):
            raise ValueError("one of equipment_id, equipment_class, area and line, so that some equipment is left")
        return self

    def covers(self, equipment_id: str, equipment_class: str, area: str, line: str) -> bool:
        """Whether an equipment is one of the test."""
        asked = ((self.equipment_class, equipment_class), (self.area, area), (self.line, line))
        named = self.equipment_id == "all" or any(fnmatchcase(equipment_id, p) for p in self.equipment_id)
        return named and all(names == "all" or found in names for names, found in asked)


class Split(Strict):
    """How time is divided: training, then calibration, then test.

    The test period starts at `test_from`; where that is not given it is the last `test_share` of the time. Units that
    run until they fail are divided by unit instead: `test_equipment` says which are tested; none of their records is
    learnt from, and `calibration_share` is that of the other units.
    """

    test_equipment: TestEquipment | None = None
    test_from: Time | None = None
    test_share: Share = 0.25
    calibration_share: Share = 0.2
    folds: Annotated[int, Field(ge=1, le=20)] = 3

    @model_validator(mode="after")
    def _one_rule(self) -> Split:
        if self.test_from is not None and "test_share" in self.model_fields_set:
            raise ValueError("either test_from or test_share, not both")
        by_time = sorted(self.model_fields_set & {"test_from", "test_share", "folds"})
        if self.test_equipment is not None and by_time:
            raise ValueError(f"test_equipment divides by unit: without {listing(by_time)}")
        return self

    @model_serializer(mode="wrap")
    def _rule_in_force(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        out: dict[str, Any] = usual(self)
        if self.test_equipment is not None:
            return {k: v for k, v in out.items() if k not in ("test_from", "test_share", "folds")}
        del out["test_share" if self.test_from is not None else "test_from"]
        del out["test_equipment"]
        return out
