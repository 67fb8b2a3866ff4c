"""Lets another thread look at what a pass gives, while the pass goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec

from parity.core.events import Event

Given = ParamSpec("Given")
WAITING = 2  # calls at most, as what they are given takes memory
_WORTH = 2**24  # numbers of all outputs; of fewer, handing over takes longer than it saves


class Behind:
    """A thread that calls functions in their order. What one raises, the next or the end raises.

    Args:
        events: what a pass gives; of small outputs nothing is handed over.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        size = sum(output.size for event in events for output in event.outputs)
        self._thread = ThreadPoolExecutor(1) if size >= _WORTH else None
        self._waiting: deque[Future[None]] = deque()

    def calling(self, function: Callable[Given, None]) -> Callable[Given, None]:
        """`function`, in that thread; it returns before it is done."""
        thread = self._thread
        if thread is None:
            return function

        def later(*arguments: Given.args, **named: Given.kwargs) -> None:
            self._settle(WAITING - 1)
            self._waiting.append(thread.submit(function, *arguments, **named))

        return later

    def __enter__(self) -> Behind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            self._settle(0)
        except BaseException:
            if error is None:  # else that is the one to hear of
                raise
        finally:
            if self._thread is not None:
                self._thread.shutdown(cancel_futures=True)

    def _settle(self, left: int) -> None:
        """Wait until no more than so many wait."""
        while len(self._waiting) > left:
            self._waiting.popleft().result()
