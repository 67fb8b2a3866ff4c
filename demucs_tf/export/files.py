"""The data about a model inside each kind of exported file, and its checksum.

Only the standard library is needed to read them, and nothing of a file is trusted: what is damaged,
changed or cut off is an ExportError.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from demucs_tf.errors import ExportError, ModelNotFoundError
from demucs_tf.export.metadata import Manifest, Metadata
from demucs_tf.export.protobuf import field, fields
from demucs_tf.utils.text import reason_of

MEMBER = "demucs_tf.json"  # in a .tflite file, and in the assets of a SavedModel
KEY = "demucs_tf"  # in a .onnx file
MANIFEST = "manifest.json"

_BLOCK = 2**20
_MAX_BYTES = 2**18  # of JSON
_END_OF_ARCHIVE = 22  # bytes
_METADATA_PROPS = 14  # the field's number in ONNX's ModelProto
_DAMAGED = "the file is damaged or was changed: export the model again"


def read_metadata(path: Path) -> Metadata:
    """Read what a `.tflite` or `.onnx` file or a SavedModel's folder says, and verify the whole.

    Raises:
        ModelNotFoundError: there is nothing.
        ExportError: it is no export, of another version, damaged or changed.
    """
    try:
        data, checksum = _reader(path)(path)
        metadata = Metadata.from_json(data)
        if metadata.checksum != checksum:
            raise ExportError(
                f"expected the SHA-256 {metadata.checksum[:8]}..., found {checksum[:8]}...: "
                f"{_DAMAGED}."
            )
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"{path}: there is no such file. Check the path.") from error
    except OSError as error:
        raise ExportError(f"{path}: can't be read ({reason_of(error)}).") from error
    except ExportError as error:
        raise ExportError(f"{path}: {error}") from error
    return metadata


def read_manifest(folder: Path) -> Manifest:
    """Read what a bag's folder holds, and verify each of its files.

    Raises:
        ModelNotFoundError: there is no manifest, or a member is missing.
        ExportError: it is of another version, damaged or changed.
    """
    try:
        with (folder / MANIFEST).open("rb") as file:
            manifest = Manifest.from_json(_limited(file))
        for member in dict.fromkeys(manifest.members):
            if checksum_of(folder / member.file) != member.sha256:
                raise ExportError(f"{member.file} is not what the manifest says: {_DAMAGED}.")
    except FileNotFoundError as error:
        raise ModelNotFoundError(
            f"{folder}: there is no {Path(error.filename).name} in it. Export the model again."
        ) from error
    except OSError as error:
        raise ExportError(f"{folder}: can't be read ({reason_of(error)}).") from error
    except ExportError as error:
        raise ExportError(f"{folder}: {error}") from error
    return manifest


def checksum_of(path: Path) -> str:
    """SHA-256 of a whole file, or of a folder's files with their names."""
    if path.is_dir():
        return _folder_checksum(path, leave_out=None)
    with path.open("rb") as file:
        return _sha256(file, None)


def _reader(path: Path) -> Callable[[Path], tuple[bytes, str]]:
    if path.is_dir():
        return _read_saved_model
    readers = {".tflite": _read_tflite, ".onnx": _read_onnx}
    if path.suffix.lower() not in readers:
        raise ExportError(
            "expected a .tflite or .onnx file, or the folder of a SavedModel, found "
            f"{path.suffix or 'no suffix'}."
        )
    return readers[path.suffix.lower()]


# SavedModel: a file among the assets. The checksum is over all others.


def add_to_saved_model(folder: Path, metadata: Metadata) -> None:
    """Put the data into a folder that TensorFlow has just written."""
    checksum = _folder_checksum(folder, leave_out=f"assets/{MEMBER}")
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / MEMBER).write_bytes(replace(metadata, checksum=checksum).to_json())


def _read_saved_model(folder: Path) -> tuple[bytes, str]:
    if not (folder / "saved_model.pb").is_file():
        raise ExportError("expected the folder of a SavedModel, found no saved_model.pb in it.")
    try:
        with (folder / "assets" / MEMBER).open("rb") as file:
            data = _limited(file)
    except FileNotFoundError as error:
        raise ExportError(_foreign(f"assets/{MEMBER}")) from error
    return data, _folder_checksum(folder, leave_out=f"assets/{MEMBER}")


def _folder_checksum(folder: Path, leave_out: str | None) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != leave_out:
            digest.update(f"{name}\0{checksum_of(path)}\0".encode())
    return digest.hexdigest()


# LiteRT: an archive behind the model, as TensorFlow Lite's own metadata has associated files. Who
# reads the model does not look behind its end, who reads archives starts there.


def add_to_tflite(path: Path, metadata: Metadata) -> None:
    """Put the data behind a model."""
    data = replace(metadata, checksum=checksum_of(path)).to_json()
    entry = zipfile.ZipInfo(MEMBER, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # the same bytes on every system
    with path.open("r+b") as file:
        file.seek(0, 2)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(entry, data)


def _read_tflite(path: Path) -> tuple[bytes, str]:
    with path.open("rb") as file:
        if file.read(8)[4:] != b"TFL3":
            raise ExportError("expected a LiteRT model, found something else.")
        try:
            with zipfile.ZipFile(file) as archive:
                (entry,) = archive.infolist()
                if entry.filename != MEMBER or entry.file_size > _MAX_BYTES:
                    raise ValueError("another file")
                file.seek(-_END_OF_ARCHIVE, 2)
                if not file.read().startswith(b"PK\x05\x06"):
                    raise ValueError("something behind it")
                data, length = archive.read(entry), entry.header_offset
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise ExportError(_foreign("the model's data behind it")) from error
        file.seek(0)
        return data, _sha256(file, length)


# ONNX: a field at the end of the file, which protobuf takes for a part of the message.


def add_to_onnx(path: Path, metadata: Metadata) -> None:
    """Put the data behind a serialised ModelProto."""
    data = replace(metadata, checksum=checksum_of(path)).to_json()
    entry = field(1, KEY.encode()) + field(2, data)
    with path.open("ab") as file:
        file.write(field(_METADATA_PROPS, entry))


def _read_onnx(path: Path) -> tuple[bytes, str]:
    missing = _foreign("the model's data at its end")
    with path.open("rb") as file:
        last = None
        for last in fields(file, path.stat().st_size):  # noqa: B007
            pass
        if last is None or last.number != _METADATA_PROPS or last.length > _MAX_BYTES:
            raise ExportError(missing)
        file.seek(last.content)
        entry = io.BytesIO(file.read(last.length))
        parts = [
            entry.getvalue()[part.content :][: part.length] for part in fields(entry, last.length)
        ]
        if len(parts) != 2 or parts[0] != KEY.encode():
            raise ExportError(missing)
        file.seek(0)
        return parts[1], _sha256(file, last.start)


def _sha256(file: BinaryIO, length: int | None) -> str:
    """SHA-256 of the next `length` bytes; None: of all."""
    digest = hashlib.sha256()
    while length is None or length > 0:
        block = file.read(_BLOCK if length is None else min(_BLOCK, length))
        if not block:
            break
        digest.update(block)
        length = None if length is None else length - len(block)
    return digest.hexdigest()


def _limited(file: BinaryIO) -> bytes:
    data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ExportError(f"expected at most {_MAX_BYTES} bytes about the model, found more.")
    return data


def _foreign(what: str) -> str:
    return (
        f"expected {what}, found none: it is cut off, or was not written by demucs_tf. Export the "
        "model with `demucs-tf export`."
    )
