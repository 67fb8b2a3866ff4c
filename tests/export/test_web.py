"""The page in examples/web, in a headless Chromium."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demucs_tf import Separator
from parity.core.compare import snr_db
from tests.support.browser import Page, chromium, program
from tests.support.exports import RATE, SOURCES, export_tiny
from tests.support.fakes import noise

WEB = Path(__file__).parents[2] / "examples" / "web"
TRACK = noise(2, 3 * RATE + 123)
IDLE = "document.querySelector('#stop').hidden && !document.querySelector('#model').disabled"


def test_the_lock_names_no_registry() -> None:
    lock = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in lock
    assert "://" not in lock
    package = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    wanted = package["dependencies"]["onnxruntime-web"]
    assert json.loads(lock)["packages"]["node_modules/onnxruntime-web"]["version"] == wanted


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a copy of the page is, with what npm has installed for it."""
    folder = tmp_path_factory.mktemp("web") / "page"
    shutil.copytree(WEB, folder, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    npm = program(("npm",), "install Node.js")
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, str(folder))
    try:
        import serve  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(folder))
    with serve.server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model as ONNX."""
    return export_tiny(tmp_path_factory.mktemp("exported"), "demucs", "onnx")


@pytest.fixture
def page(address: str, tmp_path: Path) -> Iterator[Page]:
    """The page, just opened."""
    with chromium(tmp_path / "profile") as opened:
        opened.size(1280, 900)
        opened.open(address)
        yield opened


def song(folder: Path, track: Any = TRACK, rate: int = RATE) -> Path:
    path = folder / "song.wav"
    soundfile.write(path, track.T, rate, subtype="FLOAT")
    return path


def saved(page: Page) -> dict[str, Any]:
    """The stems (A, T) as they are saved, by the names of their files."""
    code = """Promise.all([...document.querySelectorAll(".save")].map(async (link) => {
      const bytes = new Uint8Array(await (await fetch(link.href)).arrayBuffer());
      let text = "";
      bytes.forEach((byte) => (text += String.fromCharCode(byte)));
      return [link.download, btoa(text)];
    }))"""
    found = {}
    for name, text in page.evaluate(code):
        data, rate = soundfile.read(io.BytesIO(base64.b64decode(text)), dtype="float32")
        assert rate == RATE
        found[name] = data.T
    return found


@pytest.mark.export
def test_stems_are_those_of_the_separator(
    page: Page, address: str, model: Path, tmp_path: Path
) -> None:
    page.choose("#model", model)
    page.wait("document.querySelector('#drop-model').classList.contains('filled')")
    assert page.evaluate("document.querySelector('#start').disabled")
    page.choose("#track", song(tmp_path))
    page.wait("!document.querySelector('#start').disabled")
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelectorAll('.stem').length === 2")
    wanted = Separator(model, shifts=0).separate_tensor(TRACK)[1]
    stems = saved(page)
    assert sorted(stems) == [f"song - {name}.wav" for name in SOURCES]
    for name in SOURCES:
        assert snr_db(stems[f"song - {name}.wav"], wanted[name]) >= 90
    assert "Done" in page.evaluate("document.querySelector('#status').textContent")
    _plays(page)
    asked = page.requests()
    assert asked
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)


def _plays(page: Page) -> None:
    """It plays and stops, and stems can be muted and heard alone."""
    page.evaluate("document.querySelector('#play').click()")
    page.wait("document.querySelector('#play').ariaLabel === 'Pause'")
    page.wait("+document.querySelector('#seek').value > 0")
    page.evaluate("document.querySelector('#play').click()")
    page.wait("document.querySelector('#play').ariaLabel === 'Play'")
    silent = "[...document.querySelectorAll('.stem')].map((e) => e.classList.contains('silent'))"
    page.evaluate("document.querySelector('.solo').click()")
    assert page.evaluate(silent) == [False, True]
    page.evaluate("document.querySelector('.mute').click()")
    assert page.evaluate(silent) == [True, True]


@pytest.mark.export
def test_both_files_can_be_dropped_at_once(page: Page, model: Path, tmp_path: Path) -> None:
    mono = TRACK[:1, : RATE // 2]
    page.drop(model, song(tmp_path, mono))
    page.wait("!document.querySelector('#start').disabled")
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelectorAll('.stem').length === 2")
    wanted = Separator(model, shifts=0).separate_tensor(np.repeat(mono, 2, 0))[1]
    for name, stem in saved(page).items():
        assert snr_db(stem, wanted[name[7:-4]]) >= 90


@pytest.mark.export
def test_what_does_not_work_is_said(page: Page, model: Path, tmp_path: Path) -> None:
    from demucs_tf.export.protobuf import field

    data = model.read_bytes()
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    other_format = data.replace(b'"format":1', b'"format":2')
    rows = {
        "cut.onnx": (data[:-5], "no ONNX model, or it was cut off"),
        "music.wav": (song(tmp_path).read_bytes(), "no ONNX model"),
        "foreign.onnx": (field(2, b"elsewhere"), "not exported by demucs_tf"),
        "changed.onnx": (bytes(changed), "damaged or was changed"),
        "other.onnx": (other_format, "has format 2"),
    }
    alert = "document.querySelector('#error')"
    for name, (content, text) in rows.items():
        (tmp_path / name).write_bytes(content)
        page.choose("#model", tmp_path / name)
        page.wait(f"{alert}.textContent.includes({text!r}) && !{alert}.hidden && ({IDLE})")
        assert page.evaluate("document.querySelector('#start').disabled")
    page.choose("#model", model)
    page.wait("document.querySelector('#drop-model').classList.contains('filled')")
    assert page.evaluate(f"{alert}.hidden")
    tracks = [
        (tmp_path / "cut.onnx", "can't be decoded"),
        (song(tmp_path, TRACK[:, :1]), "too short"),
    ]
    for path, text in tracks:
        broken = tmp_path / "track.wav"
        shutil.copy(path, broken)
        page.choose("#track", broken)
        page.evaluate("document.querySelector('#start').click()")
        page.wait(f"{alert}.textContent.includes({text!r}) && !{alert}.hidden && ({IDLE})")


@pytest.mark.export
def test_it_can_be_stopped(page: Page, model: Path, tmp_path: Path) -> None:
    page.drop(model, song(tmp_path, noise(2, 300 * RATE)))
    page.wait("!document.querySelector('#start').disabled")
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelector('#progress').value > 0")
    page.evaluate("document.querySelector('#stop').click()")
    page.wait("document.querySelector('#status').textContent === 'Stopped.'")
    assert page.evaluate(IDLE)
    assert page.evaluate("document.querySelectorAll('.stem').length") == 0


@pytest.mark.export
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(
    page: Page, model: Path, tmp_path: Path, width: int
) -> None:
    page.size(width, 800)
    page.drop(model, song(tmp_path, TRACK[:, :RATE]))
    page.wait("!document.querySelector('#start').disabled")
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelectorAll('.stem').length === 2")
    assert page.evaluate("document.documentElement.scrollWidth") == width
