"""Separate a library of tracks: from what is meant to a manifest of what became of each."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from demucs_tf.audio.format import Format
from demucs_tf.cluster import rows as rows_
from demucs_tf.cluster import store
from demucs_tf.cluster.connect import (
    check_node,
    connect,
    import_ray,
    living_nodes,
    probe,
    sample_of,
)
from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.manifest import FAILED, FOLDER, Entry, Manifest
from demucs_tf.cluster.pool import ClusterError, Pool
from demucs_tf.cluster.queue import work_off
from demucs_tf.cluster.settings import LOCAL, ClusterSettings
from demucs_tf.cluster.sizes import size_of
from demucs_tf.cluster.worker import IN_PROGRESS, Worker
from demucs_tf.inference.settings import Settings
from demucs_tf.tracks import outputs
from demucs_tf.utils.interrupts import held_back
from demucs_tf.utils.work_folder import work_folder

Finished = Callable[[list[Entry]], object]
Say = Callable[[str], object]


def _nothing(_: object) -> None:
    pass


def separate_tracks(
    tracks: Iterable[str | os.PathLike[str]] = (),
    model: str = "htdemucs",
    out: str | os.PathLike[str] = "separated",
    *,
    repo: str | os.PathLike[str] | None = None,
    dtype: str = "float32",
    allow_legacy: bool = False,
    form: Format | None = None,
    keep_rate: bool = False,
    filename: str = "{folder}/{track}/{stem}.{ext}",
    resume: bool = False,
    finished: Finished | None = None,
    say: Say | None = None,
    **settings: Any,
) -> Any:
    """Separate many tracks on Ray, on this machine or a cluster, into files.

    Args:
        tracks: paths, folders, patterns and `fsspec` addresses.
        model, repo, dtype, allow_legacy: see `demucs_tf.Separator`.
        out: the folder for the stems, a path or an address, with a folder of the model's name.
        form: of the stems' files; None: WAV with 16 bits.
        keep_rate: give the stems their track's sample rate, not the model's.
        filename: the path of a stem in there, see `demucs-tf separate --help`.
        resume: leave out tracks that the manifest says are done, and those whose stems are there.
        finished: called with entries of the manifest as they come.
        say: called with lines about what goes wrong on the way and is tried again.
        settings: those of `demucs_tf.Separator`, and of `ClusterSettings`: `ray`, the address
            ("local" if left out), `ray_threads`, `ray_actors`, `ray_gpus`, `ray_timeout`,
            `ray_track_timeout`, `tracks_from`, `column`.

    Returns:
        a `ray.data.Dataset` of the manifest, one row a track; see `demucs_tf.cluster.manifest`.
        That a track failed is said there.

    Raises:
        ConnectError, ClusterError: no Ray, no answer, other versions, nodes that can't be used.
        StoreError: the manifest, a list of tracks or the store of the stems can't be used.
        UsageError, ValueError: settings that do not fit each other or the model.
        CheckpointError, ModelNotFoundError: the model can't be loaded.
    """
    ours = {each.name for each in fields(ClusterSettings)}
    cluster = ClusterSettings(
        **{"ray": "local", **{name: settings.pop(name) for name in ours & settings.keys()}}
    )
    import_ray()
    job = Job(
        name=str(model),
        repo=None if repo is None else Path(os.path.abspath(repo)),
        dtype=dtype,
        allow_legacy=allow_legacy,
        settings=Settings(**settings),
        form=form or Format(".wav"),
        keep_rate=keep_rate,
        template=filename,
        resume=resume,
        out=folder_of(os.fspath(out), str(model)),
    )
    local = store.local_path(job.out)
    rows = rows_.gather(
        tracks, cluster.tracks_from, cluster.column, skip=[] if local is None else [local]
    )
    manifest = separate_rows(rows, job, cluster, finished or _nothing, say or _nothing)
    import ray.data

    return ray.data.read_parquet(manifest.files)


def folder_of(out: str, model: str) -> str:
    """The folder for the stems of a model: absolute, or an address."""
    if store.local_path(out) is not None:
        out = os.path.abspath(store.local_path(out) or out)
    return store.joined(out, outputs.model_folder(model))


def separate_rows(
    rows: Sequence[Row],
    job: Job,
    cluster: ClusterSettings,
    finished: Finished,
    say: Say,
    planned: Callable[[int], object] = _nothing,
    worker: type[Any] = Worker,
) -> Manifest:
    """Separate tracks.

    Everything that can be known to be wrong is found before the first track is given to a worker.

    Args:
        rows: the tracks.
        job: what becomes of them.
        cluster: where.
        finished, say: see `separate_tracks`.
        planned: told how many are to be done.
        worker: what works on the nodes; another one in tests.
    """
    rows_.check_distinct(rows, job)
    name, repo = job.name, job.repo
    local = _file_of(name) if repo is None else None
    if local is not None:
        job = replace(job, name=str(local))
    with _open_manifest(job) as (manifest, marker):
        done, weights = _review(manifest, rows, job)
        left = [row for row in rows if hash(row.address) not in done]
        planned(len(left))
        if not left:
            return manifest
        address = cluster.ray or LOCAL
        alone = connect(address, cluster.ray_timeout, noisy=job.noisy) and address == LOCAL
        paths: dict[str, Any] = sample_of(store.local_path(row.address) for row in left[:10000])
        paths |= {str(each): None for each in (marker, local, repo) if each is not None}
        # Of a Ray that this process has just started, there is nothing to ask.
        checked = [*living_nodes()] if alone else _checked_nodes(paths, cluster)
        pool = Pool(job, cluster, say, paths, checked, worker)
        try:
            about = _first(pool, say)
            if weights - {about.model_sha256}:
                raise ClusterError(
                    f"{manifest.folder}: its tracks were separated by other weights of {job.name}. "
                    "Choose another folder with -o, or leave out --resume."
                )
            rows_.check_not_overwritten(rows, job, about.stems)

            def add(entries: list[Entry]) -> None:
                manifest.add(entries)
                finished(entries)

            work_off(left, pool, add, say)
        finally:
            with held_back():
                pool.close()
                manifest.compact()
                _tidy(job)
    return manifest


def _file_of(name: str) -> Path | None:
    """The file or folder that a model's name is the path of, absolute."""
    from demucs_tf.runtimes.load import exported_path

    path = Path(name) if os.path.isfile(name) else exported_path(name)
    return None if path is None else Path(os.path.abspath(path))


@contextmanager
def _open_manifest(job: Job) -> Iterator[tuple[Manifest, Path | None]]:
    """The manifest, locked where that is possible, and a file that only this run has."""
    from filelock import FileLock, Timeout

    folder = store.joined(job.out, FOLDER)
    path = store.local_path(folder)
    if path is None:
        probe_ = store.joined(folder, f".run-{secrets.token_hex(8)}")
        store.write_bytes(probe_, b"1")  # without write access that is said now
        store.remove(probe_)
        yield Manifest(folder), None
        return
    outputs.check_writable(path)
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ClusterError(
            f"{path}: another run writes to it. Wait for it, or choose another folder with -o."
        ) from error
    except (NotImplementedError, OSError):  # a file system without locks
        pass
    marker = path / f".run-{secrets.token_hex(8)}"
    try:
        for old in path.glob(".run-*"):
            old.unlink(missing_ok=True)
        marker.write_bytes(b"")
        yield Manifest(folder), marker
    finally:
        marker.unlink(missing_ok=True)
        lock.release()


def _tidy(job: Job, patience: float = 3.0) -> None:
    """Remove what killed workers had begun; their locks are free a moment after their end."""
    out = store.local_path(job.out)
    until = time.monotonic() + patience
    while out is not None and (out / IN_PROGRESS).is_dir() and time.monotonic() < until:
        with suppress(OSError), work_folder(out / IN_PROGRESS):
            pass
        with suppress(OSError):
            (out / IN_PROGRESS).rmdir()
        time.sleep(0.1)


def _review(manifest: Manifest, rows: Sequence[Row], job: Job) -> tuple[set[int], set[str]]:
    """The hashes of the tracks that are done, and of the weights that did them.

    What will be done again loses its row.
    """
    if not manifest.files:
        return set(), set()
    wanted = {hash(row.address) for row in rows}
    done: set[int] = set()
    weights: set[str] = set()
    settings = job.described()

    def keep(entry: Entry) -> bool:
        key = hash(entry.track)
        if key not in wanted:
            return True
        if not job.resume or entry.status == FAILED or key in done:
            return False
        if entry.settings != settings:
            raise ClusterError(
                f"{entry.track} was separated with other settings: {entry.settings}, and now "
                f"{settings}. Choose another folder with -o, or leave out --resume."
            )
        done.add(key)
        weights.add(entry.model_sha256)
        return True

    manifest.review(keep)
    return done, weights


def _checked_nodes(paths: dict[str, Any], cluster: ClusterSettings) -> list[str]:
    """The ids of all nodes that get workers, which are as this machine is.

    One that does not answer, having just died, is looked at again later.
    """
    nodes = [node for node in living_nodes().values() if size_of(node.resources, cluster).actors]
    answers = probe(nodes, paths, cluster.ray_timeout) if nodes else []
    answers = [probed for probed in answers if not probed.error]
    for probed in answers:
        check_node(probed)
    return [probed.node.id for probed in answers]


def _first(pool: Pool, say: Say, patience: float = 60.0) -> Any:
    """Wait for the first worker; it knows the model."""
    asked = time.monotonic()
    while pool.about is None:
        pool.update()
        pool.wait(1.0)
        if time.monotonic() - asked > patience:
            asked = time.monotonic()
            say("still waiting for a worker: the cluster is busy, or the model is being fetched")
    return pool.about
