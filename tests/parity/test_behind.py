"""What is handed to another thread: in its order, with its errors, and not too much at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from parity.core.capture import behind
from parity.core.capture.behind import WAITING, Behind
from parity.core.events import Event


def events(size: int) -> list[Event]:
    return [Event("", 0, "module", "", "", [], [np.zeros(size)], None)]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Outputs that are worth another thread."""
    monkeypatch.setattr(behind, "_WORTH", 10)
    return events(10)


def test_calls_keep_their_order_and_all_are_done_at_the_end(large: list[Event]) -> None:
    done: list[tuple[int, str, bool]] = []
    main = threading.current_thread()

    def note(number: int, *, word: str) -> None:
        done.append((number, word, threading.current_thread() is main))

    with Behind(large) as other:
        call = other.calling(note)
        for number in range(20):
            call(number, word="of 20")
    assert done == [(number, "of 20", False) for number in range(20)]


def test_small_outputs_stay_in_this_thread(large: list[Event]) -> None:
    with Behind(events(9)) as other:
        assert other.calling(print) is print


def test_no_more_than_a_few_wait(large: list[Event]) -> None:
    started, free = [0], threading.Event()

    def work() -> None:
        free.wait(60)

    def all_of_them(call: Callable[[], None]) -> None:
        for number in range(2 * WAITING):
            call()
            started[0] = number + 1

    with Behind(large) as other:
        caller = threading.Thread(target=all_of_them, args=[other.calling(work)])
        caller.start()
        while started[0] < WAITING:
            caller.join(0.01)
        caller.join(0.5)
        assert started[0] == WAITING
        free.set()
        caller.join(60)
    assert started[0] == 2 * WAITING


def test_an_error_ends_the_pass(large: list[Event]) -> None:
    called = []

    def fail(number: int) -> None:
        called.append(number)
        raise ValueError(f"number {number}")

    def run(numbers: range) -> None:
        with Behind(large) as other:
            call = other.calling(fail)
            for number in numbers:
                call(number)

    with pytest.raises(ValueError, match="number 0"):
        run(range(20))
    assert len(called) <= WAITING + 1
    with pytest.raises(ValueError, match="number 99"):
        run(range(99, 100))


def test_the_error_of_the_pass_comes_first(large: list[Event]) -> None:
    def fail() -> None:
        raise ValueError("behind")

    def run() -> None:
        with Behind(large) as other:
            other.calling(fail)()
            raise KeyError("pass")

    with pytest.raises(KeyError, match="pass"):
        run()
