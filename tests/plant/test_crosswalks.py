"""Crosswalk files: words are words, and who has looked at a code is kept apart."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from plant.crosswalks import REVIEW_COLUMNS
from plant.errors import SiteError
from plant.site import Site
from tests.plant.workshop import EVENT, Workshop, adds_up

HEADER = "code,word,review,reviewed_by,reviewed_on,note\n"


def load(workshop: Workshop, text: str, take: str | None = None, item: dict[str, Any] | None = None) -> Site:
    workshop.beside("codes.csv", text)
    form = {"column": "c", "crosswalk": "k"} | ({"take": take} if take else {})
    return workshop.one(EVENT | {"code": form}, crosswalks={"k": {"file": "codes.csv", "key": "code"}}, item=item)


def test_words_and_reviews_apart(workshop: Workshop) -> None:
    site = load(
        workshop, HEADER + "A,a,reviewed,J. Murphy,2025-01-31,\nB,b,draft,,,ask Eva\nC,c,,,,\nD,d,rejected,E,,no\n"
    )
    assert site.crosswalks["k"].to_dict("index") == {"A": {"word": "a"}, "B": {"word": "b"}, "C": {"word": "c"}}
    review = site.crosswalk_reviews["k"]
    assert tuple(review.columns) == REVIEW_COLUMNS
    assert review["review"].to_dict() == {"A": "reviewed", "B": "draft", "C": "draft", "D": "rejected"}
    assert list(review.loc["A"]) == ["reviewed", "J. Murphy", "2025-01-31", ""]
    assert review.loc["B", "note"] == "ask Eva"


def test_only_some_of_the_columns(workshop: Workshop) -> None:
    review = load(workshop, "code,review,word\nA,reviewed,a\n").crosswalk_reviews["k"]
    assert list(review.loc["A"]) == ["reviewed", "", "", ""]


def test_a_file_without_a_review_has_none(workshop: Workshop) -> None:
    site = load(workshop, "code,word,note\nA,a,why\n")
    assert site.crosswalk_reviews == {}
    assert list(site.crosswalks["k"].columns) == ["word"], "a note is no word"


def test_a_rejected_code_counts_as_not_listed(workshop: Workshop) -> None:
    load(workshop, HEADER + "A,a,reviewed,,,\nB,b,rejected,,,\n")
    workshop.export("log.csv", "id,c\n1,A\n2,B\n")
    connected = workshop.connect()
    assert adds_up(connected)
    assert workshop.texts("code") == ["a"]
    assert workshop.reasons() == [(3, "code", "code 'B' is not in the crosswalk 'k'")]


def test_of_a_list_for_each_too(workshop: Workshop) -> None:
    workshop.beside("list.csv", "signal,review\nforce,reviewed\nspeed,rejected\ntorque,draft\n")
    site = workshop.one(EVENT | {"code": {"constant": "${signal}"}}, item={"each": {"file": "list.csv"}})
    assert [i.columns["code"].constant for i in site.tables["events"]] == ["force", "torque"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            "B,b,Reviewed,,,",
            "line 3: review: found 'Reviewed'; allowed: reviewed, draft, rejected; did you mean 'reviewed'?",
        ),
        ("B,b,yes,,,", "line 3: review: found 'yes'; allowed: reviewed, draft, rejected"),
        ("B,b,draft,,31.01.2025,", "line 3: reviewed_on: found '31.01.2025'; allowed: a day such as 2025-03-31"),
        ("B,b,draft,,2025-02-30,", "line 3: reviewed_on: found '2025-02-30'; allowed: a day such as 2025-03-31"),
    ],
)
def test_what_is_no_review(workshop: Workshop, row: str, expected: str) -> None:
    with pytest.raises(SiteError) as refused:
        load(workshop, HEADER + "A,a,reviewed,,,\n" + row + "\n")
    assert refused.value.details == ["site.yaml: crosswalks.k.file: file 'codes.csv', " + expected]


def test_a_review_of_tomorrow(workshop: Workshop) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    load(workshop, HEADER + f"A,a,reviewed,,{today},\n")
    with pytest.raises(SiteError, match="which lies in the future"):
        load(workshop, HEADER + f"A,a,reviewed,,{today + datetime.timedelta(days=3)},\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x" * 300, "does not exist; there are: no CSV files"),
        ("a\0b", "lies outside the site folder"),
        ({"a": None}, "found {'a': None}; allowed: the name of a CSV file below the site folder"),
        ("", "found ''; allowed: the name of a CSV file"),
        (5, "found 5; allowed: the name of a CSV file"),
    ],
)
def test_a_name_that_no_file_has(workshop: Workshop, name: Any, expected: str) -> None:
    for crosswalks, item in (({"k": {"file": name}}, {}), ({}, {"each": {"file": name}})):
        with pytest.raises(SiteError) as refused:
            workshop.one(EVENT, crosswalks=crosswalks, item=item)
        assert expected in refused.value.details[0]


def test_a_review_is_no_word(workshop: Workshop) -> None:
    with pytest.raises(SiteError) as refused:
        load(workshop, "code,word,other,note\nA,a,b,c\n", take="note")
    assert "columns.code.take: found 'note'; allowed: word, other" in refused.value.details[0]
    with pytest.raises(SiteError, match="has no column of words beside 'code'"):
        load(workshop, "code,review\nA,draft\n")
