"""How many workers a node has, and what each of them gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from demucs_tf.cluster.settings import ClusterSettings

# Beyond, threads are better used by another worker.
THREADS = 4
# What a worker with the largest published model takes, in bytes (docs/scale.md).
MEMORY = 3 * 2**30


class Size(NamedTuple):
    """The workers of a node: how many, and for each its threads, processors and GPUs."""

    actors: int
    threads: int
    cpus: float
    gpus: float


def size_of(resources: Mapping[str, float], settings: ClusterSettings) -> Size:
    """What a node with these resources, as Ray counts them, is used for.

    A node without processors, as the head of a large cluster often is, gets no workers.
    """
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    share = min(1.0, gpus) if settings.ray_gpus is None else settings.ray_gpus
    if cpus <= 0 or share > gpus:
        return Size(0, 0, 0.0, 0.0)
    if share:
        most = int(gpus / share + 1e-6)
        threads = settings.ray_threads or max(1, int(cpus) // (settings.ray_actors or most))
    else:
        threads = settings.ray_threads or max(1, min(int(cpus), THREADS))
        if settings.ray_actors and not settings.ray_threads:
            threads = max(1, int(cpus) // settings.ray_actors)
        most = max(1, int(cpus) // threads)
        if "memory" in resources:
            most = max(1, min(most, int(resources["memory"] // MEMORY)))
    actors = settings.ray_actors or most
    if share:
        actors = min(actors, most)
    return Size(actors, threads, min(float(threads), cpus / actors), share)
