"""States that diffq packed: decoded without diffq, and to the same bits as by diffq."""

from __future__ import annotations

import copy
import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from demucs_tf.checkpoints.formats.diffq_state import Quantized, read_quantized
from demucs_tf.checkpoints.formats.pickle_data import Name
from demucs_tf.checkpoints.weights import read_state, shapes_of
from demucs_tf.errors import CheckpointError
from parity.core.compare import compare
from tests.checkpoints.test_load import small_model
from tests.checkpoints.test_load_hybrid import MODELS, H, model

DIFF = Name("diffq.diffq", "DiffQuantizer")
UNIFORM = Name("diffq.uniform", "UniformQuantizer")


def pack_bits(values: Any, bits: int) -> np.ndarray:
    """bitpack's layout, number by number."""
    values = np.asarray(values).reshape(-1)
    packed = np.zeros((-(-len(values) // 2048), bits, 32), np.uint64)
    for n, value in enumerate(values.tolist()):
        for bit in range(bits):
            packed[n // 2048, bit, n % 32] |= np.uint64((value >> bit & 1) << (n % 2048 // 32))
    return packed.astype(np.int64)


def pack_words(values: Any, bits: int) -> np.ndarray:
    """torch_pack's layout in its usual int16, number by number."""
    values = np.asarray(values).reshape(-1)
    words = -(-len(values) // 16)
    packed = np.zeros((bits, words), np.uint16)
    for n, value in enumerate(values.tolist()):
        for bit in range(bits):
            packed[bit, n % words] |= np.uint16((value >> bit & 1) << (n // words))
    return packed.view(np.int16)


SHAPES = {"a.weight": (8, 4, 100), "a.bias": (8,), "b.weight": (6, 3)}


def diff_state(
    bits: list[int], packed: bool = True, torch_pack: bool = False, **options: Any
) -> tuple[dict[str, Any], np.ndarray]:
    """A state of `SHAPES` with these numbers of bits for the groups; and the levels."""
    groups = np.resize(bits, 3200 // options.get("group_size", 4))
    dice = np.random.default_rng(3)
    levels = (
        dice.random((len(groups), options.get("group_size", 4))) * 2.0 ** groups[:, None]
    ).astype(int)
    pack = pack_words if torch_pack else pack_bits
    item: tuple[Any, ...] = (levels.astype(np.int16), (-0.5, 0.75), groups.astype(np.uint8))
    if packed:
        stored = [pack(levels[groups == b], b) if b in groups else None for b in range(1, 15)]
        least = options.get("min_bits", 2)
        width = int(np.ceil(np.log2(1 + groups.max() - least)))
        item = (stored, (-0.5, 0.75), pack(groups - least, width))
    state = {
        "quantized": [item],
        "float16": [],
        "others": [np.arange(8, dtype=np.float32), np.ones((6, 3), np.float32)],
        "meta": {
            "init_kwargs": {"group_size": 4, "min_size": 0.01, **options},
            "klass": DIFF,
            "packed": packed,
            "torch_pack": torch_pack,
        },
        "__quantized": True,
    }
    return state, levels


def expected(levels: np.ndarray, bits: Any) -> np.ndarray:
    """diffq's formula in float32, written a second time."""
    unit = (1 / (2.0 ** np.asarray(bits, np.float64) - 1).astype(np.float32)).astype(np.float32)
    return levels.astype(np.float32) * unit * np.float32(1.25) + np.float32(-0.5)


# Without diffq


@pytest.mark.parametrize("torch_pack", [False, True], ids=["bitpack", "torch_pack"])
@pytest.mark.parametrize("bits", [[5], [2, 3, 9, 14], [1, 2], [13, 2, 2, 2, 2]])
def test_groups_of_any_bits(bits: list[int], torch_pack: bool) -> None:
    least = min(bits)
    state, levels = diff_state(bits, torch_pack=torch_pack, min_bits=least)
    decoded = read_quantized(state).decode(SHAPES)
    groups = np.resize(bits, 800)
    assert list(decoded) == list(SHAPES)
    np.testing.assert_array_equal(
        decoded["a.weight"], expected(levels, groups[:, None]).reshape(8, 4, 100), strict=True
    )
    np.testing.assert_array_equal(decoded["a.bias"], np.arange(8, dtype=np.float32), strict=True)


def test_what_real_diffq_wrote() -> None:
    """diffq 0.2.4: bitpack.pack(tensor([1, 0, 7, 6, 5]), 3) and torch_pack.pack([5, 2, 7])."""
    words = np.zeros((1, 3, 32), np.int64)
    words[0, :, :5] = [[1, 0, 1, 0, 1], [0, 0, 1, 1, 0], [0, 0, 1, 1, 1]]
    assert np.array_equal(pack_bits([1, 0, 7, 6, 5], 3), words)
    assert pack_words([5, 2, 7], 3).tolist() == [[5], [6], [5]]
    packed = pack_bits(np.arange(2049) == 2047, 1)  # written as [0, 0, 31]: -2**63
    assert packed[0, 0, 31] == -(2**63)
    state = {
        "quantized": [(words, (0.0, 7.0))],
        "float16": [],
        "others": [],
        "meta": {"klass": UNIFORM, "packed": True, "init_kwargs": {"bits": 3, "min_size": 0}},
    }
    found = read_quantized(state).decode({"w": (5,)})["w"]
    assert compare(found, np.array([1, 0, 7, 6, 5], np.float32), tolerance=1e-6).passed


def test_numbers_bound_what_a_state_can_hold() -> None:
    for torch_pack in (False, True):
        state, _ = diff_state([3, 7], torch_pack=torch_pack)
        found = read_quantized(state).numbers()
        assert 3200 + 26 <= found <= 3200 + 26 + 2 * 2048
    state, _ = diff_state([3, 7], packed=False)
    assert read_quantized(state).numbers() == 3200 + 26


def test_which_weights_are_packed() -> None:
    """More numbers than min_size, and no pattern fits the name or its last part."""
    shapes = {"x.weight": (2622,), "x.bias": (2621,), "y.z.weight": (3000,), "y.weight": (1,)}

    def places(**options: Any) -> dict[str, list[str]]:
        state, _ = diff_state([3], **options)
        return read_quantized(state)._places(shapes)

    assert places()["quantized"] == ["x.weight", "y.z.weight"]
    assert places()["others"] == ["x.bias", "y.weight"]
    assert places(float16=True)["float16"] == ["x.bias", "y.weight"]
    assert places(min_size=0)["quantized"] == list(shapes)
    assert places(exclude=["weight"], min_size=0)["quantized"] == ["x.bias"]
    assert places(exclude=["y.*"], min_size=0)["quantized"] == ["x.weight", "x.bias"]
    assert places(exclude=["?.weight"], min_size=0)["quantized"] == ["x.bias", "y.z.weight"]


def _changed(path: str, value: Any) -> Any:
    def change(state: dict[str, Any]) -> None:
        *way, last = path.split(".")
        target: Any = state
        for key in way:
            target = target[int(key) if isinstance(target, list) else key]
        if value is KeyError:
            del target[last]
        else:
            target[int(last) if isinstance(target, list) else last] = value

    return change


def _item(part: int, value: Any) -> Any:
    def change(state: dict[str, Any]) -> None:
        item = list(state["quantized"][0])
        item[part] = value(item[part]) if callable(value) else value
        state["quantized"][0] = tuple(item)

    return change


def _levels(index: int, value: Any) -> Any:
    return _item(0, lambda old: [value if i == index else each for i, each in enumerate(old)])


# (change, what the message says); the state has groups of 3 and of 7 bits.
BAD: list[tuple[Any, str]] = [
    (_changed("meta", KeyError), "lack `meta`"),
    (_changed("meta", [1]), "lack `meta`"),
    (_changed("meta.klass", Name("os", "system")), r"packed by os\.system, wanted one of diffq"),
    (_changed("meta.klass", "diffq.diffq.DiffQuantizer"), "packed by diffq"),
    (_changed("meta.klass", Name("diffq.lsq", "LSQ")), r"packed by diffq\.lsq\.LSQ"),
    (_changed("meta.packed", 1), "wanted true or false as `packed`"),
    (_changed("meta.torch_pack", None), "wanted true or false as `packed`"),
    (_changed("meta.init_kwargs", None), "options that diffq's DiffQuantizer has not"),
    (_changed("meta.init_kwargs.bits", 8), "options that diffq's DiffQuantizer has not"),
    (_changed("meta.init_kwargs.group_size", 0.5), "can't have group_size=0.5"),
    (_changed("meta.init_kwargs.group_size", -1), "can't have group_size=-1"),
    (_changed("meta.init_kwargs.group_size", 7), "groups of 7 do not divide 3200"),
    (_changed("meta.init_kwargs.group_size", 2**60), "do not divide 3200"),
    (_changed("meta.init_kwargs.min_bits", 2.5), "can't have min_bits=2.5"),
    (_changed("meta.init_kwargs.min_bits", -2), "wanted 1 to 15 bits, found -1 to 3"),
    (_changed("meta.init_kwargs.min_bits", 3), "groups have 3 bits, found others"),
    (_changed("meta.init_kwargs.min_size", float("nan")), "can't have min_size=nan"),
    (_changed("meta.init_kwargs.min_size", 10**30), "can't have min_size"),
    (_changed("meta.init_kwargs.min_size", 1), "0 of them|1 of them are quantized"),
    (_changed("meta.init_kwargs.float16", 1), "can't have float16=1"),
    (_changed("meta.init_kwargs.float16", True), "0 of them are float16, and the model has 2"),
    (_changed("meta.init_kwargs.exclude", "*"), "can't have exclude"),
    (_changed("meta.init_kwargs.exclude", [1]), "can't have exclude"),
    (_changed("meta.init_kwargs.exclude", ["*" * 300]), "can't have exclude"),
    (_changed("quantized", None), "lack the list `quantized`"),
    (_changed("others", KeyError), "lack the list `others`"),
    (_changed("others.0", 3), "wanted floating-point tensors"),
    (_changed("others.0", np.arange(8)), "wanted floating-point tensors"),
    (_changed("others.0", np.zeros(9, np.float32)), r"a\.bias has the shape \(8,\), found \(9,"),
    (_changed("others.0", np.full(8, np.nan, np.float32)), r"a\.bias has 8 values that are NaN"),
    (_changed("others", [np.zeros(8, np.float32)]), "1 of them are others, and the model has 2"),
    (_changed("quantized", []), "0 of them are quantized, and the model has 1"),
    (_changed("quantized.0", None), "wanted 3 parts of each packed weight"),
    (_changed("quantized.0", (1, 2)), "wanted 3 parts of each packed weight"),
    (_item(0, None), "wanted 14 arrays of levels"),
    (_item(0, [None] * 13), "wanted 14 arrays of levels"),
    (_item(0, [None] * 14), "400 groups have 3 bits, found others"),
    (_levels(2, 5), "wanted whole numbers as packed weights"),
    (_levels(2, np.zeros((1, 3, 32), np.float32)), "wanted whole numbers as packed weights"),
    (_levels(2, np.zeros((1, 3, 32), np.int32)), "packed numbers as int64"),
    (_levels(2, np.zeros((3, 32), np.int64)), "packed numbers as int64"),
    (_levels(2, np.zeros((2, 3, 32), np.int64)), "1600 packed numbers of 3 bits, found .*2, 3, 32"),
    (_levels(2, np.zeros((1, 4, 32), np.int64)), "1600 packed numbers of 3 bits"),
    (_levels(2, np.zeros((1, 3, 33), np.int64)), "1600 packed numbers of 3 bits"),
    (_levels(3, np.zeros((1, 4, 32), np.int64)), "0 groups have 4 bits, found others"),
    (_item(1, None), "wanted two numbers as the range"),
    (_item(1, (1.0, float("inf"))), "wanted two numbers as the range"),
    (_item(1, (1.0, 2.0, 3.0)), "wanted two numbers as the range"),
    (_item(1, (-(10**400), 10**400)), "wanted two numbers as the range"),
    (_item(1, (1e300, 3.0)), r"weight a\.weight has 3200 values that are NaN or Inf"),
    (_item(1, (-17 * 10**307, 17 * 10**307)), "3200 values that are NaN or Inf"),
    (_item(2, np.zeros((1, 16, 32), np.int64)), "800 packed numbers of some bits"),
    (_item(2, pack_bits([13] * 800, 4)), "800 of its groups have 15 bits, which diffq packs"),
    (_item(2, pack_bits([14] * 800, 4)), "wanted 1 to 15 bits, found 16 to 16"),
]


@pytest.mark.parametrize(("change", "match"), BAD)
def test_a_state_that_diffq_never_writes(change: Any, match: str) -> None:
    state, _ = diff_state([3, 7])
    state = copy.deepcopy(state)
    change(state)
    with pytest.raises(CheckpointError, match=match):
        read_quantized(state).decode(SHAPES)


@pytest.mark.parametrize(
    ("options", "item", "match"),
    [
        ({"bits": 7.5}, (pack_bits([1], 7), (0.0, 1.0)), "can't have bits=7.5"),
        ({"bits": 16}, (pack_bits([1], 16), (0.0, 1.0)), "can't have bits=16"),
        ({"bits": 0}, (pack_bits([1], 1), (0.0, 1.0)), "can't have bits=0"),
        ({"group_size": 8}, (pack_bits([1], 8), (0.0, 1.0)), "UniformQuantizer has not"),
        ({"bits": 8}, (pack_bits([1], 7), (0.0, 1.0)), "3000 packed numbers of 8 bits"),
        ({"bits": 8}, (pack_bits([1], 8), (0.0, 1.0)), "3000 packed numbers of 8 bits"),
        ({"bits": 8}, (pack_bits([1], 8), (0.0, 1.0), 3), "wanted 2 parts"),
    ],
)
def test_a_uniform_state_that_diffq_never_writes(
    options: dict[str, Any], item: Any, match: str
) -> None:
    meta = {"klass": UNIFORM, "packed": True, "torch_pack": False, "init_kwargs": options}
    state = {"quantized": [item], "float16": [], "others": [], "meta": meta}
    with pytest.raises(CheckpointError, match=match):
        read_quantized(state).decode({"w": (3000,)})


def test_unpacked_levels_of_another_shape() -> None:
    for part in (0, 2):
        state, _ = diff_state([3, 7], packed=False)
        _item(part, lambda old: old[:-1])(state)
        with pytest.raises(CheckpointError, match="wanted 800 groups of 4 levels"):
            read_quantized(state).decode(SHAPES)


def test_the_weights_come_in_the_order_in_which_they_were_registered() -> None:
    """Without the reference: the embedding of frequencies follows encoders and decoders."""
    keys = list(shapes_of(model("HTDemucsTF", t_emb="scaled")))
    parts = list(dict.fromkeys(key.partition(".")[0] for key in keys))
    assert parts == [
        "encoder",
        "decoder",
        "tencoder",
        "tdecoder",
        "freq_emb",
        "channel_upsampler",
        "channel_downsampler",
        "channel_upsampler_t",
        "channel_downsampler_t",
        "crosstransformer",
    ]
    inside = [key.split(".")[3] for key in keys if key.startswith("crosstransformer.layers.1.")]
    assert list(dict.fromkeys(inside)) == [
        "cross_attn",
        "linear1",
        "linear2",
        "norm1",
        "norm2",
        "norm3",
        "norm_out",
        "gamma_1",
        "gamma_2",
    ]


# Against the reference and diffq

ORDERS: list[tuple[str, dict[str, Any]]] = [
    ("Demucs", {"sources": ["a"], "channels": 4, "depth": 5, "lstm_layers": 2, "dconv_mode": 3}),
    ("Demucs", {"sources": ["a"], "channels": 4, "depth": 2, "rewrite": False, "norm_starts": 0}),
    ("HDemucs", H),
    ("HDemucs", {**H, "multi_freqs": None, "hybrid": False, "dconv_lstm": 1, "dconv_attn": 1}),
    ("HDemucs", {**H, "multi_freqs": None, "cac": False, "freq_emb": 0, "norm_starts": 1}),
    ("HDemucs", {**H, "multi_freqs": None, "depth": 5, "channels_time": 4, "context_enc": 1}),
    ("HTDemucs", MODELS["HTDemucsTF"]),
    ("HTDemucs", {**MODELS["HTDemucsTF"], "bottom_channels": 0, "t_layers": 3, "t_emb": "scaled"}),
    ("HTDemucs", {**MODELS["HTDemucsTF"], "t_cross_first": True, "t_group_norm": True}),
    (
        "HTDemucs",
        {**MODELS["HTDemucsTF"], "t_norm_first": False, "t_layer_scale": False, "t_norm_in": False},
    ),
    ("HTDemucs", {**MODELS["HTDemucsTF"], "t_layers": 0, "multi_freqs": [0.3], "dconv_mode": 3}),
]


@pytest.mark.live
@pytest.mark.parametrize(("name", "options"), ORDERS)
def test_the_order_of_the_weights_is_the_reference_s(name: str, options: dict[str, Any]) -> None:
    cls = getattr(importlib.import_module(f"demucs.{name.lower()}"), name)
    if "multi_freqs" in options and name == "HTDemucs":
        options = {**options, "multi_freqs_depth": 1}
    module = cls(**options)
    port = demucs_tf.from_torch(module)
    assert list(read_state(port)) == list(module.state_dict())
    assert shapes_of(port) == {k: tuple(v.shape) for k, v in module.named_parameters()}


TINY: dict[str, Any] = {"sources": ["a"], "channels": 8, "depth": 3}
# (model, its arguments, quantiser, its arguments)
PACKED: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("Demucs", TINY, "DiffQuantizer", {"group_size": 8, "max_bits": 14}),
    ("Demucs", TINY, "DiffQuantizer", {"max_bits": 14, "min_size": 0.001}),
    (
        "Demucs",
        TINY,
        "DiffQuantizer",
        {"group_size": 4, "min_bits": 3, "max_bits": 14, "min_size": 0.0003, "float16": True},
    ),
    (
        "Demucs",
        TINY,
        "DiffQuantizer",
        {"group_size": 8, "max_bits": 14, "min_size": 0.0001, "exclude": ["*bias", "encoder.0*"]},
    ),
    ("Demucs", TINY, "UniformQuantizer", {"bits": 8}),
    ("Demucs", TINY, "UniformQuantizer", {"bits": 11, "min_size": 0.001, "float16": True}),
    ("HDemucs", H, "DiffQuantizer", {"group_size": 4, "max_bits": 14, "min_size": 0.0005}),
    (
        "HTDemucs",
        MODELS["HTDemucsTF"],
        "DiffQuantizer",
        {"group_size": 4, "max_bits": 14, "min_size": 0.0005},
    ),
    ("HTDemucs", MODELS["HTDemucsTF"], "UniformQuantizer", {"bits": 15, "min_size": 0.001}),
]


def packed_by_diffq(
    name: str,
    arguments: dict[str, Any],
    quantizer: str,
    options: dict[str, Any],
    packed: bool = True,
    torch_pack: bool = False,
) -> dict[str, Any]:
    """What `demucs.states.serialize_model` makes of a model with a quantiser."""
    import diffq
    import torch
    from demucs import states
    from omegaconf import OmegaConf

    torch.manual_seed(2)
    module = getattr(importlib.import_module(f"demucs.{name.lower()}"), name)(**arguments)
    made = getattr(diffq, quantizer)(module, **options)
    for parameter in made._qparams if quantizer == "DiffQuantizer" else []:
        parameter.logit.data.uniform_(-4, 2)  # groups of many different numbers of bits
    saved: dict[str, Any] = states.serialize_model(module, OmegaConf.create({"a": 1}), made)
    if not packed or torch_pack:
        saved["state"] = {**made.get_quantized_state(packed, torch_pack), "__quantized": True}
    return saved


def flattened(value: Any, path: str, tensors: dict[str, Any]) -> Any:
    """The nesting of a state as demucs's `hf.py` reads it."""
    import torch

    if isinstance(value, torch.Tensor):
        tensors[path] = value.clone().contiguous()
        return {"_tensor": path}
    if isinstance(value, dict):
        pairs = [[key, flattened(item, f"{path}.{key}", tensors)] for key, item in value.items()]
        return {"_dict": pairs}
    if isinstance(value, list | tuple):
        items = [flattened(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
        return {f"_{type(value).__name__}": items}
    if isinstance(value, type):
        return {"_class": f"{value.__module__}.{value.__qualname__}"}
    return value


def as_safetensors(path: Path, saved: dict[str, Any]) -> Path:
    from safetensors.torch import save_file

    from tests.checkpoints.formats.test_safetensors_file import _fraction

    tensors: dict[str, Any] = {}
    texts = {
        "klass": f"{saved['klass'].__module__}.{saved['klass'].__qualname__}",
        "args": json.dumps(saved["args"]),
        "kwargs": json.dumps(saved["kwargs"], default=_fraction),
        "structure": json.dumps(flattened(saved["state"], "state", tensors)),
    }
    save_file(tensors, path, metadata=texts)
    return path


def as_package(path: Path, saved: dict[str, Any]) -> Path:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(saved, path)
    return path


# UniformQuantizer can't write torch_pack, as its number of bits is a float; and the hybrid models
# are there for the order of their weights, which does not depend on the form.
FORMS = [
    (*case, form)
    for case in PACKED
    for form in ("packed", "torch_pack", "unpacked")
    if form == "packed"
    or (case[0] == "Demucs" and (form, case[2]) != ("torch_pack", "UniformQuantizer"))
]


@pytest.mark.live
@pytest.mark.parametrize(("name", "arguments", "quantizer", "options", "form"), FORMS)
def test_what_diffq_packs_is_decoded_to_the_same_bits(
    tmp_path: Path,
    name: str,
    arguments: dict[str, Any],
    quantizer: str,
    options: dict[str, Any],
    form: str,
) -> None:
    from demucs import hf, states

    saved = packed_by_diffq(
        name, arguments, quantizer, options, form != "unpacked", form == "torch_pack"
    )
    package = as_package(tmp_path / "a.th", saved)
    published = as_safetensors(tmp_path / "a.safetensors", saved)
    wanted = states.load_model(package).state_dict()
    for path in (package, published):
        state = read_state(demucs_tf.load_model(path))
        assert list(state) == list(wanted)
        for key, value in wanted.items():
            assert state[key].tobytes() == value.numpy().tobytes(), (path.name, key)
    again = hf.load_safetensors_model(published).state_dict()  # the layout is the reference's
    assert all(again[key].equal(value) for key, value in wanted.items())


@pytest.mark.live
@pytest.mark.parametrize("torch_pack", [False, True])
def test_one_group_of_all_which_diffq_itself_can_not_unpack(
    tmp_path: Path, torch_pack: bool
) -> None:
    from demucs import states

    options = {"group_size": 0, "max_bits": 14}
    saved = packed_by_diffq("Demucs", TINY, "DiffQuantizer", options, True, torch_pack)
    package = as_package(tmp_path / "a.th", saved)
    with pytest.raises(RuntimeError, match="invalid for input of size 0"):
        states.load_model(package)
    found = read_state(demucs_tf.load_model(package))
    saved = packed_by_diffq("Demucs", TINY, "DiffQuantizer", options, False)
    wanted = states.load_model(as_package(tmp_path / "b.th", saved)).state_dict()
    for key, value in wanted.items():
        assert found[key].tobytes() == value.numpy().tobytes(), key


@pytest.mark.live
def test_groups_of_15_bits_are_not_in_what_diffq_packs(tmp_path: Path) -> None:
    options = {"group_size": 8, "max_bits": 40}
    saved = packed_by_diffq("Demucs", TINY, "DiffQuantizer", options)
    unpacked = packed_by_diffq("Demucs", TINY, "DiffQuantizer", options, packed=False)
    levels, _, bits = unpacked["state"]["quantized"][0]
    assert int((bits == 15).sum()) > 0
    stored = saved["state"]["quantized"][0][0]
    counts = [levels.shape[1] * int((bits == b).sum()) for b in range(1, 15)]
    assert [0 if array is None else array.shape[0] for array in stored] == [
        -(-count // 2048) for count in counts
    ]
    path = as_package(tmp_path / "a.th", saved)
    with pytest.raises(CheckpointError, match=r"have 15 bits, which diffq packs without their num"):
        demucs_tf.load_model(path)
    from demucs import states

    path = as_package(tmp_path / "b.th", unpacked)
    found = read_state(demucs_tf.load_model(path))
    for key, value in states.load_model(path).state_dict().items():
        assert found[key].tobytes() == value.numpy().tobytes(), key


def test_a_packed_state_is_no_state_of_a_small_model() -> None:
    """Shapes come from the model: another model is an error, and never a wrong weight."""
    state, _ = diff_state([3, 7])
    packed = read_quantized(state)
    assert isinstance(packed, Quantized)
    with pytest.raises(CheckpointError, match="its packed weights are of another model"):
        packed.decode(shapes_of(small_model()))
