"""What a piece is made of: notes, who plays them, and how they are mixed. Times are in beats."""

from __future__ import annotations

from dataclasses import dataclass

from examples.music.instruments import Preset, Voice

STEMS = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class Note:
    """A MIDI note: start and length in beats, pitch and velocity from 0 to 127."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Syllable(Note):
    """A sung note. Without a consonant it is slurred to the one before."""

    consonant: str
    vowel: str


@dataclass(frozen=True)
class Strip:
    """A mixing desk's channel: level, place, three bands, saturation, compression, room."""

    level_db: float
    pan: float  # -1 left, 1 right
    low_db: float  # below 150 Hz
    mid_hz: float
    mid_db: float
    high_db: float  # above 5 kHz
    drive: float  # 0 is clean
    squeeze: float  # share of the level's movement that compression takes away
    room: float  # the reverberation's level, 0 to 1
    decay: float  # seconds until the reverberation has fallen by 60 dB


@dataclass(frozen=True)
class Part:
    """One instrument."""

    stem: str
    role: str
    preset: Preset
    notes: tuple[Note, ...]
    strip: Strip


@dataclass(frozen=True)
class Song:
    """One voice's part, sung `takes` times over itself."""

    voice: Voice
    notes: tuple[Syllable, ...]
    takes: int
    strip: Strip


@dataclass(frozen=True)
class Section:
    """A stretch of the piece and the roles that play in it. Start and length in beats."""

    name: str
    start: float
    length: float
    roles: frozenset[str]

    @property
    def end(self) -> float:
        return self.start + self.length


@dataclass(frozen=True)
class Piece:
    """Everything about a piece that its sound follows from."""

    name: str
    seconds: float
    tempo: float  # beats a minute
    meter: int  # beats a bar
    key: int  # the tonic's pitch class
    mode: str
    sections: tuple[Section, ...]
    parts: tuple[Part, ...]
    songs: tuple[Song, ...]
    levels_db: tuple[float, ...]  # by stem, in the order of STEMS

    @property
    def beats(self) -> float:
        return self.seconds * self.tempo / 60
