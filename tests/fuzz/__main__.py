"""The command: a process reads the files or runs the models, this one looks after it and counts."""

from __future__ import annotations

import argparse
import importlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

_SILENCE = 120  # seconds after which a process that reads counts as hung
_FORGET = 200  # files after which Keras forgets the names of layers
# What is drawn: files with changed bytes, and models with changed arguments.
_FAMILIES = {"files": "tests.fuzz.run", "models": "tests.fuzz.passes"}


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="a folder")
    parser.add_argument("--family", choices=_FAMILIES, help="one of both, each half the time")
    parser.add_argument("--only", type=int, help="one of --family, of this number, and say more")
    parser.add_argument("--start", type=int, default=0, help="begin at this number")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only is not None:
        return _only(options.family or "files", options.seed, options.only)
    if options.worker:
        return _work(options.family, options.seed, options.start, options.findings)
    families = [options.family] if options.family else list(_FAMILIES)
    options.minutes /= len(families)
    found = 0
    for options.family in families:
        found |= look_after([sys.executable, "-m", "tests.fuzz"], options)
    return found


def _only(family: str, seed: int, number: int) -> int:
    module = importlib.import_module(_FAMILIES[family])
    runner = module.new_runner()
    case = next(module.cases(seed, number))
    outcome = runner.judge(case)
    print(f"{case.number} {case.sample}, {len(case.content)} bytes: {outcome.kind}")
    print(outcome.details)
    return int(outcome.is_finding)


def _work(family: str, seed: int, start: int, findings: Path) -> int:
    import keras

    module = importlib.import_module(_FAMILIES[family])
    runner = module.new_runner()
    for case in module.cases(seed, start):
        _say(case=case.number, sample=case.sample)
        outcome = runner.judge(case)
        if outcome.is_finding:
            _say(minimising=case.number)
            content = runner.minimised(case, outcome.kind)
            path = findings / f"{case.sample}-{seed}-{case.number}{case.suffix}"
            findings.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.with_suffix(f"{case.suffix}.txt").write_text(f"{outcome.kind}\n{outcome.details}")
        _say(done=case.number, sample=case.sample, kind=outcome.kind, finding=outcome.is_finding)
        if case.number % _FORGET == 0:
            keras.backend.clear_session()
    return 0


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class _Worker:
    """A process that reads files, and the lines that it prints."""

    def __init__(self, command: list[str], options: argparse.Namespace, start: int) -> None:
        command = [*command, "--worker", "--seed", str(options.seed), "--family", options.family]
        command += ["--start", str(start), "--findings", str(options.findings)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.put(line)
        self.lines.put(None)

    def end(self, patience: float = 0) -> int:
        """Let the process end, then kill it; return its status."""
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.thread.join()


def look_after(command: list[str], options: argparse.Namespace) -> int:
    """Start processes that read files until the time is over; say what became of the files."""
    end = time.monotonic() + 60 * options.minutes
    counts: Counter[tuple[str, str]] = Counter()
    findings: list[str] = []
    start = options.start
    while time.monotonic() < end:
        died = _watch_one(_Worker(command, options, start), start, end, counts, findings)
        if died is None:
            break
        number, sample, how = died
        findings.append(f"{number} {sample}: {how}")
        counts[sample, how] += 1
        _keep(options, number)
        start = number + 1
    for (sample, kind), count in sorted(counts.items()):
        print(f"{sample:20} {kind:30} {count:8}")
    print(f"{sum(counts.values())} {options.family}, {len(findings)} findings", flush=True)
    again = f"python -m tests.fuzz --family {options.family} --seed {options.seed} --only NUMBER"
    for finding in findings:
        print(f"  {finding} ({again})")
    return int(bool(findings))


def _watch_one(
    worker: _Worker,
    start: int,
    end: float,
    counts: Counter[tuple[str, str]],
    findings: list[str],
) -> tuple[int, str, str] | None:
    """Count what a worker says; return what it died of, or None at the end of the time."""
    number, sample = start, "?"
    while True:
        try:
            wait = max(0.1, min(_SILENCE, end - time.monotonic()))
            line = worker.lines.get(timeout=wait)
        except queue.Empty:
            worker.end()
            return None if time.monotonic() >= end else (number, sample, "hung")
        if line is None:
            return number, sample, f"died ({worker.end(patience=10)})"
        said = json.loads(line)
        number, sample = said.get("case", number), said.get("sample", sample)
        if "done" in said:
            counts[sample, said["kind"]] += 1
            if said["finding"]:
                findings.append(f"{number} {sample}: {said['kind']}")
        if time.monotonic() >= end:
            worker.end()
            return None


def _keep(options: argparse.Namespace, number: int) -> None:
    """Write the file that a worker died of, as it is: each try would cost a process."""
    module = importlib.import_module(_FAMILIES[options.family])
    case = next(module.cases(options.seed, number))
    options.findings.mkdir(parents=True, exist_ok=True)
    path = options.findings / f"{case.sample}-{options.seed}-{number}{case.suffix}"
    path.write_bytes(case.content)


if __name__ == "__main__":
    sys.exit(main())
