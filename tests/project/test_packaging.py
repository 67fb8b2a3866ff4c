"""What the project's files say about each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = {".md", ".py", ".toml", ".ini", ".yml", ".yaml", ".html", ".json"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def dependencies() -> list[str]:
    """The list in pyproject.toml; Python 3.10 has no TOML reader."""
    block = re.search(r"^dependencies = \[\n(.*?)^\]", read("pyproject.toml"), re.M | re.S)
    assert block is not None
    return re.findall(r'"([^"]+)"', block[1])


def project_files() -> list[Path]:
    """Every text file that is, or is about to be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:  # a source archive: no repository, and nothing ignored in it
        found = [path for path in ROOT.rglob("*") if not {".venv", ".tox"} & set(path.parts)]
    else:
        found = [ROOT / name for name in listed.stdout.splitlines()]
    texts = [p for p in found if p.suffix in TEXTS or p.name in ("Makefile", "run", "LICENSE")]
    return [path for path in texts if path.is_file()]


def test_the_readme_lists_the_dependencies_without_tensorflow() -> None:
    block = re.search(
        r"^pip install --no-deps \.\npip install ((?:.*\\\n)*.*)$", read("README.md"), re.M
    )
    assert block is not None
    wanted = [name for name in dependencies() if not name.startswith("tensorflow")]
    assert len(wanted) == len(dependencies()) - 1
    assert re.findall(r'"([^"]+)"', block[1]) == wanted


def test_the_readme_names_the_oldest_tensorflow_that_is_tested() -> None:
    (floor,) = [name for name in dependencies() if name.startswith("tensorflow")]
    oldest = floor.removeprefix("tensorflow>=")
    assert f"TensorFlow has to be {oldest} or later" in read("README.md")
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    assert f"tensorflow=={oldest}." in tox["testenv:oldest"]["deps"]


def test_the_readme_names_the_two_commands() -> None:
    assert "\nmake demo " in read("README.md")
    assert "\nmake test " in read("README.md")


def test_tox_has_the_environments_and_skips_none_in_silence() -> None:
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    names = ("unit", "parity", "live", "benchmark", "export", "lint", "oldest")
    assert all(tox.has_section(f"testenv:{name}") for name in names)
    assert not tox.getboolean("tox", "skip_missing_interpreters")
    for name in ("unit", "parity", "oldest"):
        section = tox[f"testenv:{name}"]
        assert "torch" not in section["deps"]
        assert "reference" not in section["extras"]


@pytest.mark.parametrize("name", ["unit", "parity", "live", "full", "export"])
def test_make_and_tox_run_the_same(name: str) -> None:
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    in_tox = tox[f"testenv:{name}"]["commands"].replace(" {posargs}", "").split("\n")
    recipe = re.search(rf"^{name}: .*\n((?:\t.*\n)+)", read("Makefile"), re.M)
    assert recipe is not None
    in_make = recipe[1].replace("\t", "").replace("$(BIN)/", "").strip().split("\n")
    assert list(filter(None, in_tox)) == in_make


def test_ci_runs_make_test_and_pins_its_actions() -> None:
    run = ROOT / ".ci" / "run"
    assert "make test" in run.read_text(encoding="utf-8").splitlines()[-1]
    assert os.access(run, os.X_OK)
    uses = re.findall(r"uses: \S+@(\S+)", read(".github/workflows/ci.yml"))
    assert uses
    assert all(re.fullmatch(r"[0-9a-f]{40}", version) for version in uses)


def test_no_file_names_a_machine() -> None:
    """Paths and addresses of one machine are of no use to anybody else."""
    files = project_files()
    assert len(files) > 20
    folders = "app|build|home|mnt|opt|root|tmp|Users|work|workspace"
    pattern = re.compile(rf"(?<![\w.])/(?:{folders})/\w|--(?:extra-)?index-url")
    bad = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        if path.name != Path(__file__).name
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert bad == []


def test_nothing_in_the_package_imports_torch_at_import_time() -> None:
    pattern = re.compile(r"^(?:import|from) (?:torch|demucs|julius)\b", re.M)
    bad = [
        str(path)
        for path in (ROOT / "demucs_tf").rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    ]
    assert bad == []


def test_every_folder_of_code_is_a_package() -> None:
    """A folder without __init__.py would be left out of the installation without a word."""
    for top in ("demucs_tf", "parity"):
        folders = {path.parent for path in (ROOT / top).rglob("*.py")}
        assert folders
        assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_demo_says_what_its_stems_are() -> None:
    done = subprocess.run(
        [sys.executable, "examples/demo.py", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    assert "trained with this code on pieces that a generator composed" in said
    assert "For recordings there are the published models" in said
