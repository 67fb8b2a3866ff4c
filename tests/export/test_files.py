"""The data in exported files: written, read back, and refused where anything was changed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from demucs_tf.errors import ExportError, ModelNotFoundError
from demucs_tf.export import files
from demucs_tf.export.metadata import Manifest, Member, Metadata, ValidLength
from demucs_tf.export.protobuf import field

DIGEST = "0123456789abcdef" * 4
METADATA = Metadata(
    model="DemucsTF",
    sources=("drums", "Gesäng"),
    samplerate=44100,
    audio_channels=2,
    segment=1000,
    length=1024,
    weights="float32",
    weights_sha256=DIGEST,
    name="mine",
    valid_length=ValidLength(6, 8, 4, True),
)


def made(kind: str, folder: Path) -> Path:
    """A file of each format, with a payload that no runtime would take."""
    path = folder / f"model{kind}"
    if kind == ".tflite":
        path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(256)) * 100)
        files.add_to_tflite(path, METADATA)
    elif kind == ".onnx":
        path.write_bytes(b"\x08\x08" + field(2, b"tf2onnx") + field(7, bytes(range(256)) * 100))
        files.add_to_onnx(path, METADATA)
    else:
        (path / "variables").mkdir(parents=True)
        (path / "saved_model.pb").write_bytes(b"graph")
        (path / "variables" / "variables.index").write_bytes(b"weights")
        files.add_to_saved_model(path, METADATA)
    return path


def payload(path: Path) -> Path:
    return path / "saved_model.pb" if path.is_dir() else path


KINDS = (".tflite", ".onnx", "")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(kind: str, tmp_path: Path) -> None:
    found = files.read_metadata(made(kind, tmp_path))
    assert replace(found, checksum="") == METADATA
    assert len(found.checksum) == 64


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_data_are_the_same_bytes(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = made(kind, tmp_path / "a"), made(kind, tmp_path / "b")
    assert files.checksum_of(one) == files.checksum_of(other)


@pytest.mark.parametrize("kind", KINDS)
def test_one_changed_byte_is_refused(kind: str, tmp_path: Path) -> None:
    path = payload(made(kind, tmp_path))
    data = bytearray(path.read_bytes())
    data[-1 if kind == "" else len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ExportError, match="damaged or was changed: export the model again"):
        files.read_metadata(path.parent if kind == "" else path)


@pytest.mark.parametrize("kind", [".tflite", ".onnx"])
def test_any_file_that_is_cut_off_is_refused(kind: str, tmp_path: Path) -> None:
    path = made(kind, tmp_path)
    data = path.read_bytes()
    for length in [*range(0, len(data), 997), len(data) - 100, len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(ExportError, match=rf"model\{kind}: expected .*"):
            files.read_metadata(path)


@pytest.mark.parametrize("kind", [".tflite", ".onnx"])
def test_a_file_with_something_behind_it_is_refused(kind: str, tmp_path: Path) -> None:
    path = made(kind, tmp_path)
    path.write_bytes(path.read_bytes() + field(3, b"more"))
    with pytest.raises(ExportError, match="expected the model's data"):
        files.read_metadata(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_somebody_else_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{kind}"
    if kind == "":
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"graph")
    else:
        path.write_bytes({".tflite": b"\0\0\0\0TFL3", ".onnx": b"\x08\x08"}[kind])
    with pytest.raises(ExportError, match=r"not written by demucs_tf. Export the model with"):
        files.read_metadata(path)


def test_what_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no such file"):
        files.read_metadata(tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=r"found no saved_model.pb"):
        files.read_metadata(tmp_path)
    with pytest.raises(ExportError, match=r"expected a .tflite or .onnx file.*found .th"):
        files.read_metadata(tmp_path / "model.th")


CHANGES = [
    ({"format": 2, "demucs_tf": "9.9"}, "format 1, found 2, written by demucs_tf '9.9'; this is"),
    ({"format": True}, "format 1, found True"),
    ({"sources": ["../drums"]}, "another 'sources'"),
    ({"sources": ["drums", "Drums"]}, "another 'sources'"),
    ({"samplerate": 44100.0}, "another 'samplerate'"),
    ({"length": 999}, "length of at least the segment of 1000"),
    ({"length": None}, "another 'length'"),
    ({"weights": "float8"}, "another 'weights'"),
    ({"valid_length": {"depth": 6}}, "another 'valid_length'"),
    ({"checksum": "x"}, "another 'checksum'"),
    ({"licence": 1}, "another 'licence'"),
]


@pytest.mark.parametrize(("change", "text"), CHANGES, ids=lambda value: str(value)[:30])
def test_data_that_do_not_fit_are_refused(change: dict[str, object], text: str) -> None:
    content = json.loads(replace(METADATA, checksum=DIGEST).to_json())
    with pytest.raises(ExportError, match=text) as caught:
        Metadata.from_json(json.dumps({**content, **change}).encode())
    assert "xport the model again" in str(caught.value)


def test_every_field_is_needed() -> None:
    content = json.loads(replace(METADATA, checksum=DIGEST).to_json())
    for name in content:
        rest = {key: value for key, value in content.items() if key != name}
        with pytest.raises(ExportError, match=f"a format|{name}"):
            Metadata.from_json(json.dumps(rest).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ExportError, match=r"expected .*JSON"):
        Metadata.from_json(data)


def bag(folder: Path) -> Manifest:
    (folder / "0-abc.onnx").write_bytes(b"one")
    member = Member("0-abc.onnx", files.checksum_of(folder / "0-abc.onnx"))
    return Manifest(("drums",), 44100, 2, ((1.0,), (0.5,)), (member, member), segment=100)


def test_a_manifest_is_read_with_its_members(tmp_path: Path) -> None:
    manifest = bag(tmp_path)
    (tmp_path / files.MANIFEST).write_bytes(manifest.to_json())
    assert files.read_manifest(tmp_path) == manifest


def test_a_member_that_was_changed_is_refused(tmp_path: Path) -> None:
    (tmp_path / files.MANIFEST).write_bytes(bag(tmp_path).to_json())
    (tmp_path / "0-abc.onnx").write_bytes(b"two")
    with pytest.raises(ExportError, match=r"0-abc.onnx is not what the manifest says"):
        files.read_manifest(tmp_path)
    (tmp_path / "0-abc.onnx").unlink()
    with pytest.raises(ModelNotFoundError, match=r"there is no 0-abc.onnx in it"):
        files.read_manifest(tmp_path)


def test_a_manifest_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    for name in ("../0-abc.onnx", "/0-abc.onnx", "..", ""):
        member = Member(name, DIGEST)
        manifest = replace(bag(tmp_path), members=(member, member))
        (tmp_path / files.MANIFEST).write_bytes(manifest.to_json())
        with pytest.raises(ExportError, match="another 'members'"):
            files.read_manifest(tmp_path)


def test_reading_needs_the_standard_library_alone() -> None:
    code = (
        "import sys, demucs_tf.export; "
        "print([m for m in ('tensorflow', 'numpy', 'onnx', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_lengths_of_convolutions_are_the_models() -> None:
    from demucs_tf import DemucsTF

    for resample in (False, True):
        model = DemucsTF(["a"], channels=4, depth=3, resample=resample, lstm_layers=0)
        lengths = ValidLength(model.depth, model.kernel_size, model.stride, resample)
        for length in (1, 7, 100, 1001, 44100):
            assert lengths.at_least(length) == model.valid_length(length)
