"""Packs one failing call into an NPZ, and beside it a script that gives its verdict again.

The pack has what the call was fed with, what was expected, and the configuration and weights of the
layer: running it needs the port and the harness, but neither PyTorch nor a golden.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core import layouts
from parity.core.capture import port as capture
from parity.core.capture.recorders import Forcer
from parity.core.compare import Difference, compare
from parity.core.events import Event, Expected
from parity.core.files import json_file
from parity.core.files.atomic import write_whole
from parity.core.result import ParityError, Record, Result
from parity.core.seeding import seeded_random
from parity.core.subject import Subject

Array = npt.NDArray[Any]

SCHEMA = 1
SCRIPT = Path(__file__).with_name("replay.py.txt")


@dataclass(frozen=True)
class Pack:
    """One call of a port, and what it should give.

    Attributes:
        record: the comparison that failed.
        model: the port's class and configuration, as Keras serializes them.
        run: the call that is run: the failing one, the one around a failing step, or the whole
            model where only the real pass fails. Without outputs.
        target: the failing call, counted from the start of `run`. Its inputs are put in if it is a
            step that fails in isolation, else it has none.
        layout: of the failing output, see `parity.core.layouts`.
        weights: of the layer that is run, in Keras's order.
        expected: what the reference gives.
    """

    record: Record
    model: dict[str, Any]
    run: Event
    target: Event
    layout: str
    weights: list[Array]
    expected: Array

    def replay(self, subject: Subject) -> Difference:
        """Make the port, run the call, compare. The port's class has to be imported."""
        import keras

        port = keras.saving.deserialize_keras_object(self.model)
        layers = capture.layers_by_path(subject, port)
        layers[self.run.path].set_weights(self.weights)
        dtype, forced = self.record.dtype, {}
        if self.target.inputs:
            forced[self.target.key] = lambda: capture.tensors_of(subject, self.target, dtype)
        forcer = Forcer(layers, forced)
        with capture.observed(subject, port, forcer), seeded_random():
            capture.call_layer(subject, layers[self.run.path], self.run, dtype)
        found = np.asarray(forcer.outputs[self.target.key][self.record.output])
        return compare(
            layouts.to_reference(found, self.layout),
            self.expected,
            self.record.tolerance,
            dtype=dtype if np.issubdtype(self.expected.dtype, np.floating) else "",
        )


def pack(subject: Subject, expected: Expected, port: Any, result: Result) -> Pack:
    """Pack the first failure of a result.

    Raises:
        ParityError: no call failed.
    """
    import keras

    failed = [record for record in result.failures if record.kind != "parameter"]
    record = min(failed, key=lambda each: each.mode != "isolated", default=None)
    if record is None:
        raise ParityError(f"{result.case}, {result.dtype}: no call failed that could be packed.")
    target = next(e for e in expected.events if e.key == (record.path, record.call))
    run = _run(expected, target, record)
    same = [e for e in _during(expected, run) if e.path == target.path]
    _, declared = subject.layouts_of(target)
    forced = target.kind == "tap" and record.mode == "isolated"
    layer = capture.layers_by_path(subject, port)[run.path]
    return Pack(
        record=record,
        model=keras.saving.serialize_keras_object(port),
        run=replace(run, outputs=[]),
        target=replace(
            target,
            call=[e.key for e in same].index(target.key),
            inputs=target.inputs if forced else [],
            outputs=[],
        ),
        layout=declared[record.output],
        weights=layer.get_weights(),
        expected=target.outputs[record.output],
    )


def _run(expected: Expected, target: Event, record: Record) -> Event:
    """The call to run: events are in the order in which they ended."""
    if record.mode == "cumulative":
        return expected.root
    if target.kind == "module":
        return target
    owner = target.path.rpartition(":")[0]
    after = expected.events[expected.events.index(target) + 1 :]
    return next(e for e in after if e.path == owner and e.kind == "module")


def _during(expected: Expected, run: Event) -> list[Event]:
    """The calls since the one before of the same layer, `run` included."""
    end = expected.events.index(run)
    before = [i for i, e in enumerate(expected.events[:end]) if e.path == run.path]
    return expected.events[before[-1] + 1 if before else 0 : end + 1]


def write(folder: Path, packed: Pack, case: str, subject: str) -> Path:
    """Write a pack and its script to a folder; the script's path.

    Args:
        folder: made if it is not there.
        packed: what to write.
        case: the case's name.
        subject: where the script imports the subject from, such as "parity.demucs:SUBJECT".

    Raises:
        OSError: the folder cannot be written.
    """
    record = packed.record
    place = record.path or "model"
    name = re.sub(r"[^\w.-]+", "-", f"{case}-{record.dtype}-{place}-{record.call}")
    arrays = {
        "expected": packed.expected,
        **{f"weight-{i}": array for i, array in enumerate(packed.weights)},
        **{f"run-{i}": array for i, array in enumerate(packed.run.inputs)},
        **{f"target-{i}": array for i, array in enumerate(packed.target.inputs)},
    }
    about = {
        "schema": SCHEMA,
        "record": asdict(record),
        "model": packed.model,
        "run": asdict(replace(packed.run, inputs=[])),
        "target": asdict(replace(packed.target, inputs=[])),
        "layout": packed.layout,
    }
    text = json_file.text_of(about)
    buffer = io.BytesIO()
    np.savez(buffer, about=np.frombuffer(text.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"{name}.npz", buffer.getvalue())
    module, _, attribute = subject.partition(":")
    script = Template(SCRIPT.read_text(encoding="utf-8")).substitute(
        case=case,
        dtype=record.dtype,
        mode=record.mode,
        place=place,
        owner=record.module_class,
        port=packed.model["module"],
        module=module,
        attribute=attribute,
    )
    write_whole(folder / f"{name}.py", script)
    return folder / f"{name}.py"


def read(path: Path) -> Pack:
    """Read a pack.

    Raises:
        ParityError: it is missing, damaged, or of another version.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            if about["schema"] != SCHEMA:
                raise ValueError(f"expected schema {SCHEMA}, found {about['schema']!r:.40}")
            numbered = {
                kind: [arrays[f"{kind}-{i}"] for i in range(_count(arrays.files, kind))]
                for kind in ("weight", "run", "target")
            }
            return Pack(
                record=Record(**about["record"]),
                model=about["model"],
                run=Event(**{**about["run"], "inputs": numbered["run"]}),
                target=Event(**{**about["target"], "inputs": numbered["target"]}),
                layout=about["layout"],
                weights=numbered["weight"],
                expected=arrays["expected"],
            )
    except (*json_file.DAMAGED, zipfile.BadZipFile, EOFError) as error:
        raise ParityError(
            f"{path} is no replay pack ({json_file.reason(error)}): write it again with "
            "`python -m parity run --replay FOLDER`."
        ) from error


def _count(names: list[str], kind: str) -> int:
    return sum(name.startswith(f"{kind}-") for name in names)
