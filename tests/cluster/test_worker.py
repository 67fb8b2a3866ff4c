"""One worker, in this process: its files are those of the plain command."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from demucs_tf.audio.format import Format
from demucs_tf.cluster import worker as module
from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.manifest import DONE, FAILED, FOUND
from demucs_tf.cluster.worker import Worker
from demucs_tf.errors import AudioError, ModelNotFoundError
from demucs_tf.inference.settings import Settings
from tests.support.command import SOURCES, files, run

SEEDED = Settings(seed=3)


@pytest.fixture
def job(album: Path, repo: Path) -> Job:
    return Job(name="tiny", repo=repo, settings=SEEDED, out=str(album.parent / "out/tiny"))


@pytest.fixture
def worker(job: Job) -> Iterator[Worker]:
    worker = Worker(job, "here")
    worker.about()
    yield worker
    worker.close()


def test_files_and_checksums(album: Path, repo: Path, job: Job, worker: Worker) -> None:
    run("album/two/a.wav", "-n", "tiny", "--repo", repo, "--seed", "3", "-o", "plain")
    found = worker.separate(Row(str(album / "two/a.wav"), "two"), 1)
    assert not found.of_the_place
    entry = found.entry
    assert (entry.status, entry.error, entry.attempt, entry.length) == (DONE, None, 1, 1.0)
    assert (entry.model, entry.node) == ("tiny", "here")
    assert entry.input_sha256 == hashlib.sha256((album / "two/a.wav").read_bytes()).hexdigest()
    for stem, name in zip(entry.stems, SOURCES, strict=True):
        data = Path(stem.address).read_bytes()
        assert stem.address == f"{job.out}/two/a/{name}.wav"
        assert data == Path(f"plain/tiny/a/{name}.wav").read_bytes()
        assert (stem.sha256, stem.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    worker.close()
    assert files(job.out) == sorted(f"two/a/{name}.wav" for name in SOURCES)


def test_in_and_out_of_a_store(album: Path, repo: Path) -> None:
    run("album/b.flac", "-n", "tiny", "--repo", repo, "--seed", "3", "--flac", "-o", "plain")
    store = fsspec.filesystem("memory")
    base = f"memory://{album.parent.name}"
    store.pipe_file(f"{base}/in/b.flac", (album / "b.flac").read_bytes())
    job = Job(name="tiny", repo=repo, settings=SEEDED, out=f"{base}/tiny", form=Format(".flac"))
    job = replace(job, resume=True)
    worker = Worker(job, "here")
    worker.about()
    entry = worker.separate(Row(f"{base}/in/b.flac"), 1).entry
    assert (entry.status, entry.error) == (DONE, None)
    for name in SOURCES:
        wanted = Path(f"plain/tiny/b/{name}.flac").read_bytes()
        assert store.cat_file(f"{base}/tiny/b/{name}.flac") == wanted
    entry = worker.separate(Row(f"{base}/in/b.flac"), 1).entry
    assert (entry.status, [stem.name for stem in entry.stems]) == (FOUND, SOURCES)
    entry = worker.separate(Row(f"{base}/in/no.flac"), 1).entry
    assert entry.error == f"{base}/in/no.flac: no such file."
    store.pipe_file(f"{base}/in/empty.flac", b"")
    assert "an empty one (0 bytes)" in str(worker.separate(Row(f"{base}/in/empty.flac"), 1).entry)
    assert sorted(store.find(f"{base}/tiny")) == sorted(
        store._strip_protocol(f"{base}/tiny/b/{name}.flac") for name in SOURCES
    )
    worker.close()
    assert not worker._work.exists()


def test_bad_and_vanished_files_are_told_and_leave_nothing(
    album: Path, job: Job, worker: Worker
) -> None:
    for name, said in (("c.wav", "expected WAV, FLAC"), ("no.wav", "no such file")):
        found = worker.separate(Row(str(album / name)), 2)
        assert (found.entry.status, found.of_the_place) == (FAILED, False)
        assert str(found.entry.error).startswith(f"{album / name}: {said}")
        assert found.entry.attempt == 2
    worker.close()
    assert files(album.parent) == sorted(f"album/{name}" for name in files(album))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.ESTALE])
def test_a_full_disk_is_of_the_place(
    number: int, album: Path, job: Job, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise AudioError("drums.wav: can't write it") from OSError(number, "full")

    monkeypatch.setattr(module.outputs, "place", full)
    found = worker.separate(Row(str(album / "a.wav")), 1)
    assert (found.entry.status, found.of_the_place) == (FAILED, True)
    assert found.entry.error == f"{album / 'a.wav'}: drums.wav: can't write it"


def test_stop_leaves_nothing(album: Path, job: Job, worker: Worker) -> None:
    worker.stop()
    found = worker.separate(Row(str(album / "a.wav")), 1)
    assert found.stopped
    worker.close()
    assert files(album.parent) == sorted(f"album/{name}" for name in files(album))


def test_one_that_is_closed_while_it_starts_leaves_nothing(album: Path, job: Job) -> None:
    worker = Worker(job, "here")
    worker.close()
    with pytest.raises(module.Stopped):
        worker.about()
    assert files(album.parent) == sorted(f"album/{name}" for name in files(album))


def test_what_is_there_is_found_but_not_without_resume(
    album: Path, repo: Path, job: Job, worker: Worker
) -> None:
    row = Row(str(album / "a.wav"))
    first = worker.separate(row, 1).entry
    assert worker.separate(row, 1).entry.status == DONE
    resuming = Worker(replace(job, resume=True), "here")
    resuming.about()
    again = resuming.separate(row, 1).entry
    assert (again.status, again.stems) == (FOUND, first.stems)
    Path(first.stems[1].address).unlink()
    assert resuming.separate(row, 1).entry.status == DONE
    resuming.close()


def test_the_hash_is_of_the_weights(job: Job, worker: Worker, tmp_path: Path) -> None:
    from tests.support.tiny_models import write_tiny

    other = Worker(replace(job, repo=write_tiny(tmp_path / "r", "x", "tiny")), "there")
    same = Worker(job, "there")
    hashes = [each.about().model_sha256 for each in (worker, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert worker.about().stems == SOURCES
    with pytest.raises(ModelNotFoundError):
        Worker(replace(job, name="none"), "here").about()
    same.close()
    other.close()
