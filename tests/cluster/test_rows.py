"""Which tracks are meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from fsspec.registry import known_implementations

from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.rows import check_distinct, check_not_overwritten, gather
from demucs_tf.cluster.store import StoreError, address_of, filesystem, write_bytes
from demucs_tf.errors import AudioError, UsageError


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with `album/a.wav`, `album/two/b.flac`, and no audio."""
    monkeypatch.chdir(tmp_path)
    for name in ("album/a.wav", "album/two/b.flac", "album/cover.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    return tmp_path


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """A store with the same."""
    address = f"memory://{tmp_path.name}"
    for name in ("album/a.wav", "album/two/b.flac", "album/cover.jpg"):
        write_bytes(f"{address}/{name}", b"x")
    return address


def test_paths_are_found_as_by_the_plain_command(music: Path) -> None:
    rows = gather(["album", "album/a.wav", f"file://{music}/album/two/b.flac", "song.wav"])
    assert rows == [
        Row(f"{music}/album/a.wav"),
        Row(f"{music}/album/two/b.flac"),
        Row(f"{music}/song.wav"),
    ]
    assert gather(["album/*"])[1:] == [Row(f"{music}/album/two/b.flac", "two")]


@pytest.mark.parametrize("form", ["{}", "{}/", "{}/**"])
def test_folders_and_patterns_of_a_store(bucket: str, form: str) -> None:
    assert gather([form.format(f"{bucket}/album")]) == [
        Row(f"{_whole(bucket)}/album/a.wav"),
        Row(f"{_whole(bucket)}/album/two/b.flac", "two"),
    ]
    with pytest.raises(AudioError, match="expected audio files, found none"):
        gather([f"{bucket}/no/*.wav"])


def _whole(address: str) -> str:
    store, name = filesystem(address)
    return str(store.unstrip_protocol(name))


def test_a_path_keeps_its_address() -> None:
    """The command makes paths of its arguments."""
    for address in ("s3://b/a b.wav", "file:///music/x.wav", "memory://a/b", "a:b/c", "a/b.wav"):
        assert address_of(Path(address)) == address


LISTS = {
    "list.txt": "\ufeff# mine\nalbum/two/b.flac\n\nalbum/a.wav \nalbum/a.wav\n",
    "one.csv": "file\nalbum/two/b.flac\nalbum/a.wav\n",
    "list.csv": 'title,track\n"B, flat",album/two/b.flac\nA,album/a.wav\n',
}


@pytest.mark.parametrize("name", [*LISTS, "list.parquet"])
def test_lists(music: Path, name: str) -> None:
    if name in LISTS:
        Path(name).write_text(LISTS[name], encoding="utf-8")
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = {"bpm": [1, 2], "track": ["album/two/b.flac", "album/a.wav"]}
        pq.write_table(pa.table(table), name)
    rows = gather([], name)
    assert rows == [Row(f"{music}/album/two/b.flac", "two"), Row(f"{music}/album/a.wav")]


def test_a_list_of_addresses(music: Path, bucket: str) -> None:
    write_bytes(f"{bucket}/list.csv", b"id,where\n1,s3://b/x/1/a.wav\n2,s3://b/x/2/a.wav\n")
    assert gather([], f"{bucket}/list.csv", "where") == [
        Row("s3://b/x/1/a.wav", "1"),
        Row("s3://b/x/2/a.wav", "2"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "column", "kind", "said"),
    [
        ("l.csv", "a,b\n1,2\n", None, UsageError, "has the columns a, b. Name one of them"),
        ("l.csv", "a,b\n1,2\n", "c", UsageError, "--column c: l.csv has the columns a, b"),
        ("l.csv", "", None, UsageError, "has the columns none"),
        ("l.txt", "a\n", "c", UsageError, "is a text, one track a line"),
        ("l.txt", "# no\n", None, StoreError, "expected a list of tracks, found none in it"),
        ("l.parquet", "no", None, StoreError, "expected a list of tracks, found other data"),
        ("l.txt", None, None, StoreError, "l.txt: it can't be read: No such file"),
    ],
)
def test_bad_lists(
    music: Path,
    name: str,
    content: str | None,
    column: str | None,
    kind: type[Exception],
    said: str,
) -> None:
    if content is not None:
        Path(name).write_text(content)
    with pytest.raises(kind, match=said):
        gather([], name, column)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("lacking://a.wav", "needs a package that is not installed: Install no-such-package"),
        ("nothing://bucket/a.wav", "no store is known by nothing://"),
    ],
)
def test_schemes_that_are_not_there(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"class": "no_such_package.Store", "err": "Install no-such-package"}
    monkeypatch.setitem(known_implementations, "lacking", known)
    with pytest.raises(StoreError, match=said):
        gather([address])


def test_two_tracks_of_one_name_are_told_apart() -> None:
    job = Job(name="m", out="s3://out/m")
    rows = [Row("s3://in/1/a.wav", "1"), Row("s3://in/2/a.wav", "2")]
    check_distinct(rows, job)
    with pytest.raises(UsageError, match=r"both be written to a/\{stem\}\.wav\. Tell them apart"):
        check_distinct(rows, Job(name="m", out="s3://out/m", template="{track}/{stem}.{ext}"))


def test_stems_do_not_replace_tracks(music: Path) -> None:
    job = Job(name="m", out=f"{music}/album", template="{stem}.{ext}")
    with pytest.raises(UsageError, match=r"album/a\.wav is a track to separate"):
        check_not_overwritten([Row(f"{music}/album/a.wav")], job, ["a"])
    check_not_overwritten([Row(f"{music}/album/a.wav")], job, ["drums"])
