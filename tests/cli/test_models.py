"""`demucs-tf list`, `info` and `convert`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from demucs_tf.checkpoints.describe import describe
from demucs_tf.checkpoints.formats.bag_yaml import bag_text
from demucs_tf.checkpoints.sources import hub, legacy_host
from demucs_tf.checkpoints.sources.checksums import sha256
from demucs_tf.checkpoints.sources.published import BAGS
from demucs_tf.checkpoints.weights import read_state
from demucs_tf.cli.main import main
from tests.checkpoints.test_load import write_package
from tests.support.fakes import noise
from tests.support.hub_server import HubServer, environment, loopback
from tests.support.pickles import integer
from tests.support.tiny_models import ARGUMENTS, SOURCES, tiny_bytes, tiny_model, write_tiny

FT = "adefossez/HTDemucs-ft"


@pytest.fixture(name="server", autouse=True)
def _server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The hub with htdemucs and htdemucs_ft, of tiny models; the current folder is an empty one."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with loopback(monkeypatch, tmp_path) as server:
        server.files["adefossez/HTDemucs/htdemucs.yaml"] = bag_text(BAGS["htdemucs"]).encode()
        server.files["adefossez/HTDemucs/955717e8.safetensors"] = tiny_bytes(7)
        server.files[f"{FT}/htdemucs_ft.yaml"] = bag_text(BAGS["htdemucs_ft"]).encode()
        for seed, signature in enumerate(BAGS["htdemucs_ft"].models):
            server.files[f"{FT}/{signature}.safetensors"] = tiny_bytes(seed)
        yield server


def run(*arguments: object, status: int = 0) -> None:
    assert main([str(argument) for argument in arguments]) == status


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a failing command says."""
    run(*arguments, status=1)
    out, err = capsys.readouterr()
    assert out == ""
    lines: list[str] = err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert "Traceback" not in err
    return lines[-1]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert caught.value.code == 2
    text: str = capsys.readouterr().err
    return text


def table(text: str) -> dict[str, str]:
    """Name -> the rest of its line."""
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line[:1].strip()]
    return {line[0]: " ".join("".join(line[1:]).split()) for line in lines}


def same_weights(model: Any, other: Any) -> bool:
    mine, others = read_state(model), read_state(other)
    return mine.keys() == others.keys() and all(
        mine[key].dtype == others[key].dtype and np.array_equal(mine[key], others[key])
        for key in mine
    )


# --- list -------------------------------------------------------------------------------------


def test_the_published_models(server: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    run("list")
    rows = table(capsys.readouterr().out)
    for name, bag in BAGS.items():
        assert rows[name] == f"{' '.join(bag.models)} no"
    assert not server.log


def test_what_is_on_this_machine(
    server: HubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    demucs_tf.load_model("htdemucs")
    hub.download(FT, "htdemucs_ft.yaml")
    hub.download(FT, "92cfc3b6.safetensors")
    for signature in BAGS["hdemucs_mmi"].models:
        legacy_host.cached_path(signature).parent.mkdir(exist_ok=True)
        legacy_host.cached_path(signature).write_bytes(b"x")
    server.log.clear()
    run("list")
    rows = table(capsys.readouterr().out)
    assert rows["htdemucs"] == "955717e8 yes"
    assert rows["htdemucs_ft"].endswith("04573f0d 1 of 4 models")
    assert rows["hdemucs_mmi"] == "75fc33f5 yes, as legacy .th files"
    assert rows["mdx"].endswith(" no")
    assert not server.log


def test_the_models_of_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    repo = write_tiny(Path("repo"), "aaaa", "bbbb")
    (repo / "pair.yaml").write_text("models: [aaaa, bbbb, aaaa]")
    (repo / "lame.yaml").write_text("models: [aaaa, cccc]")
    (repo / "odd.yaml").write_text("nothing")
    (repo / "e\x1b[31m.safetensors").write_bytes(b"x")
    run("list", "--repo", repo)
    out = capsys.readouterr().out
    rows = table(out)
    assert rows["pair"] == "aaaa bbbb aaaa pair.yaml"
    assert rows["lame"] == "aaaa cccc lame.yaml (lacks cccc)"
    assert rows["odd"].startswith(f"odd.yaml ({repo}/odd.yaml: wanted a bag")
    assert rows["aaaa"] == "aaaa.safetensors"
    assert "\x1b" not in out
    assert "wanted a folder of models" in failure(capsys, "list", "--repo", "none")


def test_nothing_of_this_needs_tensorflow(server: HubServer, tmp_path: Path) -> None:
    write_tiny(Path("repo"), "aaaa")
    Path("repo/one.yaml").write_text("models: [aaaa]")
    code = (
        "import sys\n"
        "from demucs_tf.cli import info, listing\n"
        "from types import SimpleNamespace as Args\n"
        "from pathlib import Path\n"
        "listing.run(Args(repo=None)), listing.run(Args(repo=Path('repo')))\n"
        "info.run(Args(file=Path('repo/aaaa.safetensors'), debug=False))\n"
        "info.run(Args(file=Path('repo/one.yaml'), debug=False))\n"
        "print({'tensorflow', 'keras', 'torch'} & set(sys.modules))"
    )
    ours = {**os.environ, **environment(server, tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ours)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"
    assert not server.downloads()


# --- info -------------------------------------------------------------------------------------


def test_a_safetensors_file(capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(Path("repo"), "aaaa") / "aaaa.safetensors"
    run("info", path)
    out = capsys.readouterr().out
    rows = table(out)
    assert rows["file"] == str(path)
    assert rows["sha256"] == sha256(path)
    assert rows["class"] == "demucs.demucs.Demucs"
    assert rows["sources"] == "drums, bass, other, vocals"
    assert rows["sample"] == "rate 44100 Hz"
    assert rows["segment"] == "40 s"
    count = sum(array.size for array in read_state(tiny_model(0)).values())
    assert rows["weights"] == f"{count:,} numbers, float32"
    assert f"  channels = {ARGUMENTS['channels']}\n" in out
    assert f"  sources = {SOURCES}\n" in out


def test_a_package(capsys: pytest.CaptureFixture[str]) -> None:
    state = {"w": np.zeros((3, 5), np.float32), "b": np.ones(2, np.float32)}
    path = write_package(Path("a.th"), state)  # which no model could be made of
    run("info", path)
    rows = table(capsys.readouterr().out)
    assert rows["weights"] == "17 numbers, float32"
    assert rows["sources"] == "a, b"
    assert rows["sha256"] == sha256(path)


def test_a_keras_file(capsys: pytest.CaptureFixture[str]) -> None:
    model = demucs_tf.DemucsTF(["a", "b"], **ARGUMENTS, segment=Fraction(39, 5), dtype="float64")
    model.save("a.keras")
    run("info", "a.keras")
    out = capsys.readouterr().out
    rows = table(out)
    assert rows["class"] == "demucs.demucs.Demucs"
    assert rows["segment"] == "39/5 s"
    assert rows["weights"] == f"{model.count_params():,} numbers, float64"
    assert "  resample = False\n" in out


def test_a_bag(capsys: pytest.CaptureFixture[str]) -> None:
    repo = write_tiny(Path("repo"), "aaaa", "bbbb")
    rows = [[1, 0, 0.5, 1], [0, 1, 0.25, 1]]
    content = {"models": ["bbbb", "aaaa"], "weights": rows, "segment": 44}
    (repo / "pair.yaml").write_text(json.dumps(content))
    run("info", repo / "pair.yaml")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:5] == [
        f"sha256 {sha256(repo / 'pair.yaml')}",
        "bag of 2 models",
        "sources drums, bass, other, vocals",
        "segment 44 s",
    ]
    assert lines.index("model bbbb") < lines.index("model aaaa")
    assert "counts drums 1, bass 0, other 0.5, vocals 1" in lines
    assert "counts drums 0, bass 1, other 0.25, vocals 1" in lines
    (repo / "aaaa.safetensors").unlink()
    assert "a member of the bag is missing" in failure(capsys, "info", repo / "pair.yaml")


def test_files_that_can_not_be_described(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.wav").write_bytes(b"x")
    assert "wanted a file of the kinds" in failure(capsys, "info", "a.wav")
    for suffix in ("th", "safetensors", "keras", "yaml"):
        assert "no such file" in failure(capsys, "info", f"none.{suffix}")
        Path(f"b.{suffix}").write_bytes(b"damaged")
        assert f"b.{suffix}: " in failure(capsys, "info", f"b.{suffix}")


def test_what_a_file_says_is_printed_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    data = tiny_bytes(0, sources=("a.......", "é"))
    Path("a.safetensors").write_bytes(data.replace(7 * b".", rb"\\u001b"))  # JSON in JSON
    run("info", "a.safetensors")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"a\x1b, \xe9" in out
    kwargs = b"}(X\x08\x00\x00\x00channels" + integer(4) + b"X\x07\x00\x00\x00segment"
    kwargs += b"X\x10\x27\x00\x00" + b"9" * 10_000 + b"u"
    run("info", write_package(Path("a.th"), {}, kwargs=kwargs))
    assert max(map(len, capsys.readouterr().out.splitlines())) < 300


# --- convert ----------------------------------------------------------------------------------


def test_there_and_back(capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(Path("repo"), "aaaa") / "aaaa.safetensors"
    run("convert", path, "a.keras")
    run("convert", "a.keras", "b.safetensors")
    out, err = capsys.readouterr()
    assert out.splitlines() == ["a.keras", "b.safetensors"]
    assert err == ""
    for file in ("a.keras", "b.safetensors"):
        assert same_weights(demucs_tf.load_model(file), tiny_model(0))
    run("convert", "aaaa", "c.safetensors", "--repo", "repo")
    assert Path("c.safetensors").read_bytes() == Path("b.safetensors").read_bytes()


def test_a_package_becomes_a_safetensors_file() -> None:
    state = read_state(
        demucs_tf.DemucsTF(["a", "b"], channels=4, depth=2, lstm_layers=1, resample=False)
    )
    write_package(Path("a.th"), state)
    run("convert", "a.th", "a.safetensors")
    assert same_weights(demucs_tf.load_model("a.safetensors"), demucs_tf.load_model("a.th"))


@pytest.mark.parametrize(
    ("held", "options", "dtype"),
    [
        ("float64", (), "float64"),
        ("float32", (), "float32"),
        ("float64", ("--dtype", "float32"), "float32"),
        ("float32", ("--dtype", "float64"), "float64"),
    ],
)
def test_the_dtype_of_a_file_is_kept_unless_asked_otherwise(
    held: str, options: tuple[str, ...], dtype: str
) -> None:
    Path("a.safetensors").write_bytes(tiny_bytes(0, held))
    run("convert", "a.safetensors", "b.safetensors", *options)
    assert describe(Path("b.safetensors")).dtype == dtype
    run("convert", "b.safetensors", "c.keras")
    assert describe(Path("c.keras")).dtype == dtype
    if not options:
        run("convert", "c.keras", "d.safetensors")
        found = demucs_tf.load_model("d.safetensors", dtype=dtype)
        assert same_weights(found, tiny_model(0, dtype=dtype))


def test_a_bag_of_the_hub_becomes_a_folder(
    server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    run("convert", "htdemucs_ft", "out/mine.yaml")
    out, err = capsys.readouterr()
    written = sorted(map(str, Path("out").iterdir()))
    assert sorted(out.splitlines()) == written
    assert len(written) == 5
    assert f"hf://{FT}/f7e0c4bc.safetensors from {server.url}: " in err  # where it comes from
    bag = demucs_tf.load_model("mine", "out")
    assert np.array_equal(bag.weights, np.eye(4))
    for seed, model in enumerate(bag.models):
        assert same_weights(model, tiny_model(seed))


def test_a_bag_of_one_model_becomes_that_model() -> None:
    run("convert", "htdemucs", "a.safetensors")
    assert same_weights(demucs_tf.load_model("a.safetensors"), tiny_model(7))


def test_a_bag_does_not_fit_into_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in (".safetensors", ".keras"):
        err = refusal(capsys, "convert", "htdemucs_ft", f"a{suffix}")
        assert "htdemucs_ft is a bag of 4 models" in err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("target", ["a.th", "a", "a.onnx", "a.safetensor"])
def test_formats_that_are_not_written(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    err = refusal(capsys, "convert", "never looked at", target)
    assert "OUT must end in one of .safetensors, .keras, .yaml" in err


def test_a_file_that_is_there_is_kept(
    server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.safetensors").write_text("precious")
    message = failure(capsys, "convert", "htdemucs", "a.safetensors")
    assert message.startswith("error: a.safetensors: is there already")
    assert not server.log
    assert Path("a.safetensors").read_text() == "precious"
    run("convert", "htdemucs", "a.safetensors", "--force")
    assert same_weights(demucs_tf.load_model("a.safetensors"), tiny_model(7))


def test_what_can_not_be_read_or_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder.keras").mkdir()
    for target, match in (
        ("folder.keras", "found a folder"),
        ("none/a.keras", "there is no folder none"),
    ):
        assert match in failure(capsys, "convert", "htdemucs", target)
    assert "no such file" in failure(capsys, "convert", "none.th", "a.keras")
    assert "No published model" in failure(capsys, "convert", "none", "a.keras")
    Path("b.th").write_bytes(b"damaged")
    assert "b.th: " in failure(capsys, "convert", "b.th", "a.keras")
    assert not Path("a.keras").exists()


def test_a_failing_write_leaves_what_was_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    Path("a.safetensors").write_text("precious")
    Path("b.safetensors").write_bytes(tiny_bytes(0))
    message = failure(capsys, "convert", "b.safetensors", "a.safetensors", "--force")
    assert "a.safetensors: can't write it: " in message
    assert "No space left" in message
    assert Path("a.safetensors").read_text() == "precious"
    assert sorted(map(str, Path().iterdir())) == ["a.safetensors", "b.safetensors"]


def test_the_legacy_host_is_asked_only_on_request(
    server: HubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files.clear()
    state = read_state(
        demucs_tf.DemucsTF(["a", "b"], channels=4, depth=2, lstm_layers=1, resample=False)
    )
    content = write_package(Path("a.th"), state).read_bytes()
    name = f"folder/955717e8-{sha256(Path('a.th'))[:8]}.th"
    monkeypatch.setitem(legacy_host.LEGACY_FILES, "955717e8", name)
    server.files[name] = content
    assert "--allow-legacy" in failure(capsys, "convert", "955717e8", "a.keras")
    run("convert", "955717e8", "a.keras", "--allow-legacy")
    err = capsys.readouterr().err
    assert "warning: hf://adefossez/HTDemucs/955717e8.safetensors: " in err
    assert f"{legacy_host.ROOT}{name} from {server.url}: " in err
    assert same_weights(demucs_tf.load_model("a.keras"), demucs_tf.load_model("a.th"))


@pytest.mark.live
def test_the_reference_reads_what_is_written_of_its_own_package() -> None:
    import torch
    from demucs import states
    from demucs.demucs import Demucs
    from demucs.hf import load_safetensors_model
    from omegaconf import OmegaConf

    torch.manual_seed(3)
    package = states.serialize_model(Demucs(SOURCES, **ARGUMENTS), OmegaConf.create({}), half=True)
    torch.save(package, "a.th")
    run("convert", "a.th", "a.safetensors")
    mix = torch.from_numpy(noise(1, 2, 3001))
    with torch.no_grad():
        wanted = states.load_model("a.th").eval()(mix)
        found = load_safetensors_model("a.safetensors").eval()(mix)
    assert torch.equal(found, wanted)
    described = describe(Path("a.th"))
    assert described.weights == sum(tensor.numel() for tensor in package["state"].values())
