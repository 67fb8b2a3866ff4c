"""The published models: a table of what each name stands for, and where its files are.

Reference: demucs/remote/*.yaml, demucs/remote/files.txt
"""

from __future__ import annotations

from demucs_tf.models.bag import Bag

# Weights for drums, bass, other, vocals.
_ONE_SPECIALIST_EACH = (
    (1.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0),
    (0.0, 0.0, 1.0, 0.0),
    (0.0, 0.0, 0.0, 1.0),
)
_MDX = (
    (1.0, 1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0),
    (1.0, 0.0, 1.0, 1.0),
    (1.0, 0.0, 1.0, 1.0),
)

BAGS: dict[str, Bag] = {
    "htdemucs": Bag(("955717e8",)),
    "htdemucs_ft": Bag(("f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"), _ONE_SPECIALIST_EACH),
    "htdemucs_6s": Bag(("5c90dfd2",)),
    "hdemucs_mmi": Bag(("75fc33f5",), segment=44),
    "mdx": Bag(("0d19c1c6", "7ecf8ec1", "c511e2ab", "7d865c68"), _MDX, 44),
    "mdx_extra": Bag(("e51eebcc", "a1d90b5c", "5d2d6c55", "cfa93e08"), segment=44),
    "mdx_q": Bag(("6b9c2ca1", "b72baf4e", "42e558d4", "305bc58f"), _MDX, 44),
    "mdx_extra_q": Bag(("83fc094f", "464b36d7", "14fc6a69", "7fd6ef75"), segment=44),
    "repro_mdx_a": Bag(("9a6b4851", "1ef250f1", "fa0cb7f9", "902315c2"), segment=44),
    "repro_mdx_a_hybrid_only": Bag(("fa0cb7f9", "902315c2", "fa0cb7f9", "902315c2"), segment=44),
    "repro_mdx_a_time_only": Bag(("9a6b4851", "9a6b4851", "1ef250f1", "1ef250f1"), segment=44),
}

# Signature -> file on the legacy host. The second half of a file's name is how its SHA-256 begins.
LEGACY_FILES: dict[str, str] = {
    name.partition("-")[0]: f"{folder}/{name}.th"
    for folder, names in {
        "mdx_final": (
            "0d19c1c6-0f06f20e",
            "5d2d6c55-db83574e",
            "7d865c68-3d5dd56b",
            "7ecf8ec1-70f50cc9",
            "a1d90b5c-ae9d2452",
            "c511e2ab-fe698775",
            "cfa93e08-61801ae1",
            "e51eebcc-c1b80bdd",
            "6b9c2ca1-3fd82607",
            "b72baf4e-8778635e",
            "42e558d4-196e0e1b",
            "305bc58f-18378783",
            "14fc6a69-a89dd0ee",
            "464b36d7-e5a9386e",
            "7fd6ef75-a905dd85",
            "83fc094f-4a16d450",
            "1ef250f1-592467ce",
            "902315c2-b39ce9c9",
            "9a6b4851-03af0aa6",
            "fa0cb7f9-100d8bf4",
        ),
        "hybrid_transformer": (
            "955717e8-8726e21a",
            "f7e0c4bc-ba3fe64a",
            "d12395a8-e57c48e6",
            "92cfc3b6-ef3bcb9c",
            "04573f0d-f3cf25b2",
            "75fc33f5-1941ce65",
            "5c90dfd2-34c22ccb",
        ),
    }.items()
    for name in names
}


def bag_with(signature: str) -> str:
    """The first published name whose bag contains a published model."""
    return next(name for name, bag in BAGS.items() if signature in bag.models)
