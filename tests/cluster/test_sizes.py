"""How many workers a node gets."""

from __future__ import annotations

import pytest

from demucs_tf.cluster.settings import ClusterSettings
from demucs_tf.cluster.sizes import Size, size_of

GB = 2**30


@pytest.mark.parametrize(
    ("resources", "settings", "wanted"),
    [
        ({"CPU": 2, "memory": 8 * GB}, {}, Size(1, 2, 2, 0)),
        ({"CPU": 16, "memory": 64 * GB}, {}, Size(4, 4, 4, 0)),
        ({"CPU": 16, "memory": 7 * GB}, {}, Size(2, 4, 4, 0)),  # memory for two
        ({"CPU": 1, "memory": 1 * GB}, {}, Size(1, 1, 1, 0)),  # little, but one is tried
        ({"CPU": 0, "memory": 8 * GB}, {}, Size(0, 0, 0, 0)),  # a head node
        ({"CPU": 16}, {"ray_threads": 1}, Size(16, 1, 1, 0)),
        ({"CPU": 16}, {"ray_actors": 2}, Size(2, 8, 8, 0)),
        ({"CPU": 2}, {"ray_actors": 3}, Size(3, 1, 2 / 3, 0)),
        ({"CPU": 4}, {"ray_actors": 2, "ray_threads": 4}, Size(2, 4, 2, 0)),
        ({"CPU": 16, "GPU": 2}, {}, Size(2, 8, 8, 1)),
        ({"CPU": 16, "GPU": 1}, {"ray_gpus": 0.5}, Size(2, 8, 8, 0.5)),
        ({"CPU": 16, "GPU": 1}, {"ray_gpus": 0.1}, Size(10, 1, 1, 0.1)),
        ({"CPU": 16, "GPU": 1}, {"ray_gpus": 0}, Size(4, 4, 4, 0)),
        ({"CPU": 16, "GPU": 2}, {"ray_actors": 9}, Size(2, 1, 1, 1)),
        ({"CPU": 16}, {"ray_gpus": 1}, Size(0, 0, 0, 0)),  # no GPU for it
    ],
)
def test_a_node_is_shared_out(
    resources: dict[str, float], settings: dict[str, float], wanted: Size
) -> None:
    assert size_of(resources, ClusterSettings(**settings)) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ray_threads": 0}, "ray_threads must be 1 or more, got 0"),
        ({"ray_actors": -1}, "ray_actors must be 1 or more"),
        ({"ray_gpus": -0.5}, "ray_gpus must be 0 or more"),
        ({"ray_gpus": 1.5}, "ray_gpus must be up to 1, or a whole number, got 1.5"),
        ({"ray_timeout": 0}, "ray_timeout must be above 0"),
    ],
)
def test_settings_out_of_range(settings: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClusterSettings(**settings)  # type: ignore[arg-type]
