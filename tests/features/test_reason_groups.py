"""What a reason is summed by: an alarm belongs to the signal it speaks of, counts of everything are one reason."""

from __future__ import annotations

import pytest

from features.catalogue import features_of
from features.downtime import DISTURBANCES, about
from features.spec import FeatureSpec, Vocabulary
from plant.virtual_machines import MACHINES
from plant.virtual_utilities import UTILITIES


@pytest.mark.parametrize(("code", "signals", "group"), [
    ("vibration_limit", ["drum_vibration", "vibration"], "vibration"),
    ("drum_vibration_limit", ["vibration", "drum_vibration"], "drum_vibration"),
    ("pressure_drop_high", ["pressure", "pressure_drop"], "pressure_drop"),  # the longest name
    ("vibration", ["vibration"], "vibration"),
    ("vibrations_up", ["vibration"], "vibrations_up"),  # the name ends where a word ends
    ("drive_fault", ["drive_current"], "drive_fault"),
])
def test_a_code_speaks_of_the_signal_whose_name_it_begins_with(code: str, signals: list[str], group: str) -> None:
    assert about(code, signals) == group


def test_alarms_stand_with_their_signal_and_the_rest_is_one_reason() -> None:
    words = Vocabulary(signals=("vibration",), codes=("vibration_limit", "drive_fault"), event_kinds=("alarm",),
                       stops=True)
    groups = {f.name: f.group for f in features_of("equipment", FeatureSpec(), words)}
    assert groups["vibration.mean.24h"] == groups["events.since.vibration_limit"] == "vibration"
    assert groups["events.count.vibration_limit.24h"] == "vibration"
    assert groups["events.since.drive_fault"] == "drive_fault"
    assert groups["events.all.alarm.24h"] == groups["downtime.stops.24h"] == DISTURBANCES


def test_every_mechanism_of_the_virtual_plant_moves_a_signal() -> None:
    from benchmarks.virtual import traces

    moved = traces()
    for kind in (*MACHINES, *UTILITIES):
        for mechanism in kind.mechanisms:
            assert moved[kind.name, mechanism.state], mechanism.state
