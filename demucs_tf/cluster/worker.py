"""What works on a node: a model in a process of its own, one track at a time."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import Any

from demucs_tf.checkpoints.sources.checksums import sha256
from demucs_tf.cluster import manifest, store
from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.manifest import Entry, Stem
from demucs_tf.cluster.rows import track_of
from demucs_tf.errors import DemucsTFError
from demucs_tf.tracks import outputs
from demucs_tf.utils.work_folder import work_folder

# Where stems grow, beside those that are whole.
IN_PROGRESS = ".in-progress"
# What a machine lacks, or a network: another one may have it.
_OF_THE_PLACE = frozenset(
    (
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
        *(errno.EROFS, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ETIMEDOUT, errno.ENODEV),
    )
)


@dataclass(frozen=True)
class About:
    """A worker that is ready: where it is, and what its model is."""

    node: str
    stems: list[str]
    model_sha256: str


@dataclass(frozen=True)
class Result:
    """What became of a track.

    Attributes:
        entry: the row of the manifest.
        of_the_place: it failed for a reason that another node may not have.
        stopped: it was told to stop, and nothing is left of it.
    """

    entry: Entry
    of_the_place: bool = False
    stopped: bool = False


class Stopped(Exception):
    """`Worker.stop` was called."""


class Worker:
    """A model, and what it is applied to. It is loaded by `about`, which comes first.

    Args:
        job: what is to be done.
        node: the name of the node, for the manifest.
        threads: that TensorFlow, or an exported file's runtime, may use; None: all of the machine.
    """

    def __init__(self, job: Job, node: str, threads: int | None = None) -> None:
        self._job = job
        self._node = node
        self._threads = threads
        self._stop = Event()
        self._lock = Lock()
        self._held = ExitStack()

    def about(self) -> About:
        """Load the model, and say what this worker is.

        Raises:
            CheckpointError, ModelNotFoundError, ExportError: the model can't be loaded.
            ValueError: it does not fit the settings.
            OSError: nothing can be written to the output folder.
        """
        job, node = self._job, self._node
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several may share one
        out = store.local_path(job.out)
        folder = Path(tempfile.gettempdir(), "demucs-tf") if out is None else out / IN_PROGRESS
        with self._lock:
            self._check()
            self._work = self._held.enter_context(work_folder(folder))
        self._separator, digest = load(job, self._threads, self._check)
        self._entry = Entry(
            track="",
            status=manifest.FAILED,
            model=job.name,
            model_sha256=digest,
            settings=job.described(),
            node=node,
        )
        return About(node, self._separator.stems, digest)

    def stop(self) -> None:
        """Give up the track in work at its next chunk; called from another thread."""
        self._stop.set()

    def close(self) -> None:
        """Remove everything that is not whole, and begin nothing more."""
        with self._lock:
            self._stop.set()
            self._held.close()

    def separate(self, row: Row, attempt: int) -> Result:
        """Separate one track; whatever goes wrong with it is in the result."""
        from demucs_tf.inference.graphs.kept import keep_graphs

        start = time.monotonic()
        entry = replace(self._entry, track=row.address, attempt=attempt)
        work = self._work / "track"
        place = stopped = False
        try:
            work.mkdir(parents=True, exist_ok=True)
            with keep_graphs():
                entry = self._done(row, entry, work)
        except Stopped:
            stopped = True
        except Exception as error:
            place = _is_of_the_place(error)
            text = " ".join(str(error).split()).replace(f"{work}{os.sep}", "")
            if not isinstance(error, DemucsTFError):
                text = f"{type(error).__name__}: {text}"
            if row.address not in text:
                text = f"{row.address}: {text}"
            entry = replace(entry, error=text)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        took = round(time.monotonic() - start, 3)
        return Result(replace(entry, took=took, finished=time.time()), place, stopped)

    def _done(self, row: Row, entry: Entry, work: Path) -> Entry:
        job, stems = self._job, self._separator.stems
        folder = store.local_path(job.out)
        there = folder is not None
        paths = outputs.plan(
            folder if folder is not None else work / "stems",
            job.template,
            track_of(row),
            stems,
            job.extension,
        )
        names = (
            [str(path) for path in paths]
            if there
            else [store.joined(job.out, str(path.relative_to(work / "stems"))) for path in paths]
        )
        if job.resume and all(map(store.exists, names)):
            found = zip(stems, names, paths, strict=True)
            made = [_stem(*each) if there else Stem(each[0], each[1]) for each in found]
            return replace(entry, status=manifest.FOUND, stems=made)
        track = store.fetch(row.address, work)
        entry = replace(entry, input_sha256=sha256(track), input_bytes=track.stat().st_size)
        made = []

        def place(files: dict[Path, Path]) -> None:
            self._check()
            made.extend(
                _stem(stem, name, file)
                for stem, name, file in zip(stems, names, files.values(), strict=True)
            )
            if there:
                outputs.place(files)
            else:
                store.put(dict(zip(names, files.values(), strict=True)))

        length = self._write(track, paths, place, work)
        return replace(entry, status=manifest.DONE, stems=made, length=length)

    def _write(
        self, track: Path, paths: Iterable[Path], place: Callable[..., None], work: Path
    ) -> float:
        from demucs_tf.tracks.write import write_stems

        job = self._job
        source = write_stems(
            self._separator,
            track,
            paths,
            job.form,
            place,
            work=work,
            keep_rate=job.keep_rate,
            noisy=job.noisy,
        )
        return source.seconds

    def _check(self, _: Any = None) -> None:
        if self._stop.is_set():
            raise Stopped


def _stem(name: str, address: str, file: Path) -> Stem:
    return Stem(name, address, sha256(file), file.stat().st_size)


def _is_of_the_place(error: BaseException | None) -> bool:
    """Whether another node, or a later moment, may do better."""
    while error is not None:
        if isinstance(error, (store.StoreError, MemoryError)):
            return True
        if isinstance(error, OSError) and error.errno in _OF_THE_PLACE:
            return True
        error = error.__cause__
    return False


def load(job: Job, threads: int | None, check: Callable[[Any], None]) -> tuple[Any, str]:
    """The model as a `Separator`, and the hash of its weights.

    Args:
        job: see `Job`.
        threads: see `Worker`.
        check: called after each chunk.
    """
    from demucs_tf.inference.graphs.precision import unrounded
    from demucs_tf.inference.separator import Separator
    from demucs_tf.inference.settings import settings_of
    from demucs_tf.runtimes.load import exported_path, load_exported
    from demucs_tf.utils.quiet import silent_imports
    from demucs_tf.utils.runtime import import_runtime

    exported = exported_path(job.name) if job.repo is None else None
    settings = {**settings_of(job.settings), "callback": check, "progress": False}
    if exported is not None and job.dtype == "float32":
        model: Any = load_exported(exported, threads)
        return Separator(model, **settings), _hash_of_files(exported)
    with silent_imports(unless=job.noisy):
        runtime = import_runtime()
        unrounded()
        if threads is not None:
            runtime.set_intra_op_parallelism_threads(threads)
            runtime.set_inter_op_parallelism_threads(threads)
        separator = Separator(
            job.name, job.repo, **settings, dtype=job.dtype, allow_legacy=job.allow_legacy
        )
    return separator, _hash_of_weights(separator.model)


def _hash_of_files(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(sha256(file).encode())
    return digest.hexdigest()


def _hash_of_weights(model: Any) -> str:
    """SHA-256 of a model's configuration and weights, or of a bag's, wherever they come from."""
    from demucs_tf.checkpoints.weights import read_state

    digest = hashlib.sha256()
    members = getattr(model, "models", None) or [model]
    for member in members:
        digest.update(f"{type(member).__name__} {member.config.to_dict()}".encode())
        for key, array in sorted(read_state(member).items()):
            digest.update(f"{key} {array.dtype} {array.shape}".encode())
            digest.update(array.data)
    if hasattr(model, "models"):
        digest.update(repr(model.weights).encode())
    return digest.hexdigest()
