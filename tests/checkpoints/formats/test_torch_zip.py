"""Archives of `.th` files that do not add up or are tampered with."""

from __future__ import annotations

import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from tests.support.pickles import (
    ONE_STORAGE,
    dict_of,
    package,
    refused,
    storage,
    tensor,
    text,
    tuple_of,
    write,
)

# Storages and views that do not add up


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (tensor(storage("0", 6), (7,), (1,)), "does not fit in its storage"),
        (tensor(storage("0", 6), (2, 3), (4, 1)), "does not fit"),
        (tensor(storage("0", 6), (6,), (1,), offset=1), "does not fit"),
        (tensor(storage("0", 6), (10**6, 10**6), (0, 0)), "does not fit"),
        (tensor(storage("0", 6), (2**40, 2**40), (1, 1)), "does not fit"),
        (tensor(storage("0", 6), (-1,), (1,)), "shape, stride or offset"),
        (tensor(storage("0", 6), (2,), (-1,), offset=3), "shape, stride or offset"),
        (tensor(storage("0", 6), (2,), (1,), offset=-1), "shape, stride or offset"),
        (tensor(storage("0", 6), (2**60,), (1,)), "shape, stride or offset"),
        (tensor(storage("0", 6), (2, 3), (1,)), "2 sizes and 1 strides"),
        (tensor(storage("0", 7), (6,), (1,)), "should hold 7 elements of 4 bytes"),
        (tensor(storage("0", 6, "DoubleStorage"), (3,), (1,)), "6 elements of 8 bytes"),
        (tensor(storage("0", -6), (6,), (1,)), "should hold"),
        (tensor(storage("1", 6), (6,), (1,)), "data/1 is missing"),
        (tensor(storage("../data/0", 6), (6,), (1,)), r"key \.\./data/0"),
        (tensor(storage("0", 24, "UntypedStorage"), (6,), (1,)), "no typed storage"),
        (tensor(text("x"), (6,), (1,)), "no typed storage"),
        (tuple_of(text("module")) + b"Q", "names no storage"),
        (tensor(storage("0", 6, "ComplexFloatStorage"), (3,), (1,)), "ComplexFloatStorage"),
    ],
)
def test_bad_views_and_storages(tmp_path: Path, made: bytes, match: str) -> None:
    refused(write(tmp_path / "a.th", package(state=dict_of(w=made))), match)


def test_many_views_of_one_storage_are_bounded_by_the_file(tmp_path: Path) -> None:
    count = 4000
    one = tensor(storage("0", count), (count,), (1,)) + b"q\x01"
    state = dict_of(w=one, **{f"w{i}": b"h\x01" for i in range(200)})
    path = write(tmp_path / "a.th", package(state=state), {"data/0": bytes(4 * count)})
    refused(path, "tensors add up to 3216000 bytes")


# Archives that are tampered with


def test_compressed_entries_are_refused(tmp_path: Path) -> None:
    bomb = {"data/0": bytes(10_000_000)}
    state = dict_of(w=tensor(storage("0", 2_500_000), (2_500_000,), (1,)))
    path = write(tmp_path / "a.th", package(state=state), bomb, compression=zipfile.ZIP_DEFLATED)
    refused(path, "is compressed, which PyTorch never does")


def test_duplicate_entries_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.th", package())
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(path, "a") as archive,
    ):
        warnings.simplefilter("ignore")
        archive.writestr("archive/data/0", bytes(24))
    refused(path, "archive/data/0 is there twice")


@pytest.mark.parametrize("name", ["../data/0", "a/../b", "a\\b", "/etc/x", "a//b", "./x"])
def test_path_tricks_are_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.th", package())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    refused(path, "is no plain path")


def test_two_pickles_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.th", package())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", package())
    refused(path, r"wanted one data\.pkl in the archive, found 2")


def test_an_unknown_byte_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.th", package(), ONE_STORAGE | {"byteorder": b"middle"})
    refused(path, "byte order")


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    """Many directory entries may point at the same bytes; their sum may not pass the file's."""
    path = write(tmp_path / "a.th", package(), ONE_STORAGE | {"data/1": bytes(9000)})
    whole = path.read_bytes()
    end = whole.rindex(b"PK\x05\x06")
    (size, start) = struct.unpack("<II", whole[end + 12 : end + 20])
    last = whole[whole.rindex(b"PK\x01\x02") : end]
    copies = b"".join(last.replace(b"data/1", b"data/%d" % i) for i in range(2, 9))
    count = struct.pack("<HH", 11, 11)
    closing = whole[end : end + 8] + count + struct.pack("<II", size + len(copies), start)
    path.write_bytes(whole[:end] + copies + closing + whole[end + 20 :])
    refused(path, "entries claim .* bytes in a file of|damaged")
