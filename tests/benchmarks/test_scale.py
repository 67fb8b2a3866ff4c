"""The simulation of a library on a cluster, where its answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.scale.simulate import MEASURED, simulate

# Songs and nodes that are all alike, and never go away.
PLAIN = replace(
    MEASURED, spread=0, uneven=0, slow=0, preempted=0, transfer=0, start=0, driver=0, core_seconds=1
)


def test_one_node_takes_what_its_cores_take() -> None:
    run = simulate(1000, 1, PLAIN, seed=0)
    assert run.seconds == pytest.approx(1000 * PLAIN.song / PLAIN.cores)
    assert run.efficiency == pytest.approx(1)
    assert run.redone == 0


def test_a_driver_that_is_busy_sets_the_pace() -> None:
    run = simulate(10_000, 1000, replace(PLAIN, driver=0.1), seed=0)
    assert run.seconds == pytest.approx(10_000 * 0.1, rel=0.06)
    assert run.driver == pytest.approx(1, rel=0.06)


def test_a_slow_node_does_less_and_holds_up_nobody_for_longer_than_a_song() -> None:
    """One of ten is three times slower: together they are 9 1/3 nodes."""
    delays = replace(PLAIN, slow=0.1)
    [seed] = [seed for seed in range(50) if _slow_nodes(seed) == 1][:1]
    run = simulate(4000, 10, delays, seed)
    ideal = 4000 * PLAIN.song / PLAIN.cores / (9 + 1 / 3)
    longest = PLAIN.song * PLAIN.actors / PLAIN.cores * 3
    assert ideal <= run.seconds <= ideal + longest


def _slow_nodes(seed: int) -> int:
    import numpy as np

    draw = np.random.default_rng(seed)
    draw.lognormal(0, 0, 4000)
    draw.normal(0, 0, 10)
    return int((draw.random(10) < 0.1).sum())


def test_tracks_of_lost_nodes_are_done_again_and_the_same_seed_gives_the_same() -> None:
    delays = replace(PLAIN, preempted=2.0)
    run = simulate(2000, 10, delays, seed=1)
    assert run == simulate(2000, 10, delays, seed=1)
    assert 0 < run.redone < 200
    assert run.efficiency < 1
    assert run.seconds > simulate(2000, 10, PLAIN, seed=1).seconds
