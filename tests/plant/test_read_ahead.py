"""Reading ahead: order, errors in their place, and an end at any moment."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.read_ahead import read_ahead


class Numbers:
    """Counts, may fail at the end, and remembers how far it came and whether it was closed."""

    def __init__(self, count: int, fails: bool = False):
        self.count, self.fails, self.made, self.closed = count, fails, 0, False

    def __call__(self) -> Generator[int, None, None]:
        try:
            for i in range(self.count):
                self.made = i + 1
                yield i
            if self.fails:
                raise ValueError("torn")
        finally:
            self.closed = True


@given(count=st.integers(0, 20), most=st.integers(1, 3), fails=st.booleans(), take=st.integers(0, 25))
def test_items_errors_and_an_early_end(count: int, most: int, fails: bool, take: int) -> None:
    numbers, before, seen, failed = Numbers(count, fails), threading.active_count(), [], False
    source = numbers()  # held here, so that only reading ahead can have closed it
    items = read_ahead(source, most)
    try:
        for item in items:
            seen.append(item)
            assert numbers.made <= len(seen) + most
            if len(seen) == take:
                break
    except ValueError:
        failed = True
    items.close()
    assert seen == list(range(min(count, take) if take else count))
    assert failed == (fails and (take == 0 or take > count))
    assert numbers.closed
    assert threading.active_count() == before


def test_nothing_is_started_before_it_is_asked_for() -> None:
    numbers = Numbers(3)
    items = read_ahead(numbers())
    items.close()
    assert numbers.made == 0


def test_an_interrupt_passes_through() -> None:
    def interrupted() -> Generator[int, None, None]:
        yield 1
        raise KeyboardInterrupt

    items = read_ahead(interrupted())
    assert next(items) == 1
    with pytest.raises(KeyboardInterrupt):
        next(items)
