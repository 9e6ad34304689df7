"""scikit-learn's own checks of an estimator, those that apply.

One does not, and is expected to fail (`NOT_APPLICABLE`); the check of array API input skips itself.
"""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from models.hazard import HazardModel

NOT_APPLICABLE = {
    "check_fit_score_takes_y": "the target is two things, called what they are: duration_h and mode",
}


@parametrize_with_checks([HazardModel(edges_h=(0.0, 1.0, 2.0, 4.0, 400.0), rounds=5, num_threads=1, min_events=1)],
                         expected_failed_checks=lambda _: NOT_APPLICABLE)
def test_scikit_learns_checks(estimator, check) -> None:
    check(estimator)
