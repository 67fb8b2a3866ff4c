"""How tracks are spread over machines: the one list of settings, which the command shares."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from demucs_tf.inference.settings import option

LOCAL = "local"


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Where and how many.

    Raises:
        ValueError: a value out of its range.
    """

    ray: str | None = option(
        None,
        "separate on Ray: on this machine, or on the cluster at ADDRESS, HOST:PORT or auto; put it "
        "last, or write --ray=ADDRESS",
        nargs="?",
        const=LOCAL,
        metavar="ADDRESS",
        group="cluster",
    )
    ray_threads: int | None = option(
        None,
        "threads of each worker (default: 4, or all that a node has; with GPUs its processors "
        "shared out)",
        type=int,
        metavar="N",
        group="cluster",
    )
    ray_actors: int | None = option(
        None,
        "workers on each node (default: what its processors, GPUs and memory are enough for)",
        type=int,
        metavar="N",
        group="cluster",
    )
    ray_gpus: float | None = option(
        None,
        "GPUs of each worker, as 0.5; 0: none (default: 1 where a node has any)",
        type=float,
        metavar="SHARE",
        group="cluster",
    )
    ray_timeout: float = option(
        30.0,
        "how long the cluster may take to answer (default: 30)",
        type=float,
        metavar="SECONDS",
        group="cluster",
    )
    ray_track_timeout: float | None = option(
        None,
        "how long a worker may be at one track, its graph included, before another one tries it "
        "(default: no limit)",
        type=float,
        metavar="SECONDS",
        group="cluster",
    )
    tracks_from: str | None = option(
        None,
        "with --ray: a text, .csv or .parquet file with tracks, paths or addresses",
        metavar="LIST",
        group="cluster",
    )
    column: str | None = option(
        None,
        "of the tracks in a .csv or .parquet LIST (default: track, or the only one)",
        metavar="NAME",
        group="cluster",
    )

    def __post_init__(self) -> None:
        above = getattr(super(), "__post_init__", None)
        if above is not None:  # beside the other settings of the command
            above()
        for name, least in (("ray_threads", 1), ("ray_actors", 1), ("ray_gpus", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be {least} or more, got {value}.")
        share = self.ray_gpus
        if share is not None and share > 1 and share != int(share):
            raise ValueError(f"ray_gpus must be up to 1, or a whole number, got {share}.")
        for name in ("ray_timeout", "ray_track_timeout"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0 seconds, got {value}.")


def cluster_settings(options: ClusterSettings) -> dict[str, Any]:
    """Those of a subclass that has more fields."""
    return {each.name: getattr(options, each.name) for each in fields(ClusterSettings)}
