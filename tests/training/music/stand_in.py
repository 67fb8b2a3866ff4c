"""A program that is called as FluidSynth is, and writes a click at each beginning of a note.

It is started hundreds of times, so it imports little.
"""

from __future__ import annotations

import sys
from array import array
from pathlib import Path
from struct import pack

import mido

arguments = sys.argv[1:]
wav, rate = arguments[arguments.index("-F") + 1], int(arguments[arguments.index("-r") + 1])
font, midi = map(Path, arguments[-2:])
if font.read_text() == "broken":
    sys.exit("fluidsynth: error: Not a SoundFont file")
if font.read_text() == "empty":
    print("fluidsynth: warning: Instrument not found on channel 0", file=sys.stderr)
played = mido.MidiFile(midi)
samples = array("f", bytes(8 * round(played.length * rate)))
now = 0.0
for message in played:
    now += message.time
    if message.type == "note_on":
        for side in (0, 1):
            samples[2 * round(now * rate) + side] += message.velocity / 127
data = samples.tobytes()
sound = pack("<4sIHHIIHH4sI", b"fmt ", 16, 3, 2, rate, 8 * rate, 8, 32, b"data", len(data)) + data
Path(wav).write_bytes(pack("<4sI4s", b"RIFF", 4 + len(sound), b"WAVE") + sound)
