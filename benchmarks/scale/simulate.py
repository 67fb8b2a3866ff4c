"""The driver's queue with a model of delays: how long a library takes on how many nodes."""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Delays:
    """What takes how long. Those of a song and the driver are measured, see docs/scale.md.

    Attributes:
        core_seconds: of a second of music.
        cores, actors: of a node; its actors share its cores.
        song, spread: the median length of a song in seconds, and the deviation of its logarithm.
        start: seconds from a node's start to its first track.
        driver: seconds of the driver for a track: the queue, Ray, and the manifest's row.
        transfer: seconds that a worker waits for a track to be read and its stems to be written.
        uneven: deviation of the logarithm of the nodes' speeds.
        slow, slowness: the share of nodes that are slower, and how much.
        preempted: times that a node is taken away, an hour.
        replaced: seconds until there is another.
    """

    core_seconds: float
    driver: float
    cores: int = 16
    actors: int = 4
    song: float = 210.0
    spread: float = 0.35
    start: float = 30.0
    transfer: float = 3.0
    uneven: float = 0.05
    slow: float = 0.02
    slowness: float = 3.0
    preempted: float = 0.05
    replaced: float = 120.0


@dataclass(frozen=True)
class Run:
    """What came of it: seconds, the share of the workers' time that made stems, tracks redone."""

    seconds: float
    efficiency: float
    redone: int
    driver: float


def simulate(songs: int, nodes: int, delays: Delays, seed: int) -> Run:
    """Give every track to the worker that is free first, as `demucs_tf.cluster.queue` does."""
    draw = np.random.default_rng(seed)
    lengths = draw.lognormal(math.log(delays.song), delays.spread, songs).tolist()
    speeds = np.exp(draw.normal(0, delays.uneven, nodes))
    speeds[draw.random(nodes) < delays.slow] /= delays.slowness
    per_actor = delays.core_seconds * delays.actors / delays.cores
    mean = 3600 / delays.preempted if delays.preempted else math.inf
    deaths = draw.exponential(mean, nodes) if delays.preempted else np.full(nodes, np.inf)
    up = np.zeros(nodes)
    free = [(delays.start, number) for number in range(nodes * delays.actors)]
    heapq.heapify(free)
    fresh, again = iter(lengths), deque[float]()
    busy_until = end = useful = told = 0.0
    redone = 0
    left = songs
    back: list[tuple[float, float]] = []  # tracks whose node has died, and when that is known
    while left:
        now, actor = heapq.heappop(free)
        node = actor // delays.actors
        if deaths[node] <= now:  # another takes its place
            up[node] = deaths[node] + delays.replaced + delays.start
            deaths[node] = up[node] + draw.exponential(mean)
        if now < up[node]:
            heapq.heappush(free, (float(up[node]), actor))
            continue
        while back and back[0][0] <= now:
            again.append(heapq.heappop(back)[1])
        length = again.popleft() if again else next(fresh, None)
        if length is None:
            if not back:
                break
            heapq.heappush(free, (max(now, back[0][0]), actor))
            continue
        given = max(now, busy_until)
        busy_until = given + delays.driver
        told += delays.driver
        work = length * per_actor / speeds[node] + delays.transfer
        finish = busy_until + work
        if finish > deaths[node]:
            heapq.heappush(back, (float(deaths[node]) + 5.0, length))
            redone += 1
            heapq.heappush(free, (float(deaths[node]), actor))
            continue
        left -= 1
        useful += work
        end = max(end, finish)
        heapq.heappush(free, (finish, actor))
    return Run(end, useful / (end * nodes * delays.actors), redone, told / end)


# Measured on one machine (docs/scale.md): a second of music by htdemucs, a row by the driver.
MEASURED = Delays(core_seconds=0.5, driver=0.005)
SONGS = (1_000, 10_000, 100_000, 1_000_000)
NODES = (1, 10, 100, 1_000)


def table(seed: int, delays: Delays = MEASURED) -> str:
    """Hours, efficiency and the driver's load, as Markdown."""
    lines = ["| songs | nodes | hours | efficiency | redone | driver busy |", "|--:" * 6 + "|"]
    for songs in SONGS:
        for nodes in NODES:
            run = simulate(songs, nodes, delays, seed)
            lines.append(
                f"| {songs:,} | {nodes:,} | {run.seconds / 3600:.2f} | {run.efficiency:.0%} | "
                f"{run.redone:,} | {run.driver:.1%} |"
            )
    return "\n".join(lines)
