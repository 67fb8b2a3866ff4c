"""Instruments: a part becomes a MIDI file, and FluidSynth plays it with a SoundFont."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt
import soundfile

from examples.music.compose.score import Part
from examples.music.instruments import FONTS, Font

RATE = 44100
TICKS = 960  # a beat
FOLDERS = "/usr/share/sounds/sf2:/usr/share/sounds/sf3:/usr/share/soundfonts"
DRUMS = 9  # the channel of drum kits
TAIL = 2.0  # seconds; what still rings is cut at the piece's end anyway


class MissingProgramError(RuntimeError):
    """FluidSynth or a SoundFont is not installed."""


def check_installed() -> None:
    """See that the program and all fonts are there, before anything is composed.

    Fonts are looked for where systems have them, or in the folders that the environment's
    SOUNDFONTS names, with colons between them.

    Raises:
        MissingProgramError: with the Debian packages that are missing.
    """
    missing = [] if shutil.which("fluidsynth") else ["fluidsynth"]
    missing += [font.package for font in FONTS.values() if not _find(font)]
    if missing:
        raise MissingProgramError(
            f"expected the program fluidsynth, and SoundFonts in {_folders()} (SOUNDFONTS names "
            f"others); missing are the Debian packages: apt-get install {' '.join(missing)}"
        )


def _folders() -> str:
    return os.environ.get("SOUNDFONTS") or FOLDERS


def _find(font: Font) -> Path | None:
    paths = (Path(folder) / font.file for folder in _folders().split(":"))
    return next((path for path in paths if path.is_file()), None)


def midi_file(part: Part, tempo: float, seconds: float) -> mido.MidiFile:
    """The notes of a part as a MIDI file of one track, silent from `seconds` on."""
    drums = part.stem == "drums"
    channel = DRUMS if drums else 0
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    if not drums:  # a kit's bank is that of the channel
        track.append(_message("control_change", channel, control=0, value=part.preset.bank))
    track.append(_message("program_change", channel, program=part.preset.program))
    at = 0
    for tick, sounding, pitch, velocity in _events(part, seconds * tempo / 60):
        kind = "note_on" if sounding else "note_off"
        track.append(_message(kind, channel, note=pitch, velocity=velocity, time=tick - at))
        at = tick
    end = max(at, round((seconds + TAIL) * tempo / 60 * TICKS))
    track.append(mido.MetaMessage("end_of_track", time=end - at))
    return mido.MidiFile(ticks_per_beat=TICKS, tracks=[track])


def _message(kind: str, channel: int, **values: int) -> mido.Message:
    return mido.Message(kind, channel=channel, **values)


def _events(part: Part, beats: float) -> list[tuple[int, bool, int, int]]:
    """Ticks, whether a note begins, pitches, velocities, in order; ends before beginnings."""
    events = []
    following: dict[int, int] = {}
    for note in reversed(part.notes):  # a note ends where the next of its pitch begins
        start = round(note.start * TICKS)
        if note.start >= beats:
            continue
        end = min(start + max(1, round(note.length * TICKS)), following.get(note.pitch, 2**31))
        if end > start:
            events += [(start, True, note.pitch, note.velocity), (end, False, note.pitch, 0)]
            following[note.pitch] = start
    return sorted(events)


def play(part: Part, tempo: float, seconds: float) -> npt.NDArray[np.float32]:
    """Play a part without effects: (T, 2) float32 at 44.1 kHz.

    Raises:
        MissingProgramError: FluidSynth or the part's SoundFont is not installed.
        RuntimeError: FluidSynth failed, or the font lacks the preset.
    """
    font = _find(FONTS[part.preset.font])
    if font is None:
        raise MissingProgramError(
            f"expected {FONTS[part.preset.font].file} in {_folders()}; it is in the Debian package "
            f"{FONTS[part.preset.font].package}"
        )
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "part.mid", Path(folder) / "part.wav"
        midi_file(part, tempo, seconds).save(midi)
        command = ["fluidsynth", "-n", "-i", "-q", "-R", "0", "-C", "0", "-g", "0.5"]
        command += ["-o", "synth.dynamic-sample-loading=1", "-o", "synth.polyphony=256"]
        command += ["-r", str(RATE), "-T", "wav", "-O", "float", "-F", str(wav)]
        done = subprocess.run([*command, str(font), str(midi)], capture_output=True, text=True)
        # It says so and goes on when a font lacks a preset, which would mix the splits.
        if done.returncode or not wav.is_file() or "not found" in done.stderr:
            raise RuntimeError(f"fluidsynth could not play {font.name}: {done.stderr.strip()}")
        samples, rate = soundfile.read(wav, dtype="float32", always_2d=True)
    count = round(seconds * RATE)
    if rate != RATE or samples.shape[1] != 2:
        raise RuntimeError(f"expected two channels at {RATE} Hz of fluidsynth, got {rate} Hz")
    return np.pad(samples[:count], ((0, max(0, count - len(samples))), (0, 0)))
