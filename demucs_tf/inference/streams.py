"""Streams of blocks (..., n) that follow each other in time: added up, cut, computed in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import islice
from typing import TypeVar

import numpy as np

from demucs_tf.inference.arrays import SILENT, Array, Store

T = TypeVar("T")


def summed(
    streams: Iterable[Generator[Array, None, None]],
    count: int,
    make_room: Callable[[], AbstractContextManager[Store]],
) -> Iterator[Array]:
    """Yield the sum of streams, added one after the other to zeros.

    Args:
        streams: all of the same total length; the next is asked for when the one before has ended.
        count: how many they are.
        make_room: called once if there is more than one, for what holds the sum meanwhile.
    """
    with make_room() if count > 1 else nullcontext() as room:
        for index, blocks in enumerate(streams):
            stop = 0
            with closing(blocks):  # before an error is told that comes from the room
                for block in blocks:
                    start, stop = stop, stop + block.shape[-1]
                    # Zero plus the first, as the reference's `0. + out`: it makes 0. of -0.
                    total = block + (0 if room is None or index == 0 else room[..., start:stop])
                    if room is None or index == count - 1:
                        yield total
                    else:
                        room[..., start:stop] = total


def without_warnings(blocks: Iterator[Array]) -> Generator[Array, None, None]:
    """The same stream; NumPy says nothing of overflows while it is computed."""
    while True:
        with np.errstate(**SILENT):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def without_first(count: int, blocks: Iterator[Array]) -> Generator[Array, None, None]:
    """The same stream less its first `count` samples."""
    for block in blocks:
        cut = min(count, block.shape[-1])
        count -= cut
        if cut < block.shape[-1]:
            yield block[..., cut:]


def in_threads(runs: Iterator[Callable[[], T]], workers: int) -> Iterator[T]:
    """Call functions and yield what they return, in order.

    Args:
        runs: functions; no more of them are asked for than can be worked on.
        workers: how many threads work on them; 0: the caller's own.

    Reference: demucs/apply.py:277-294
    """
    if not workers:
        yield from (run() for run in runs)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        waiting = deque(pool.submit(run) for run in islice(runs, workers))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(run) for run in islice(runs, 1))
    finally:  # an exception, or nobody wants the rest
        pool.shutdown(wait=True, cancel_futures=True)
