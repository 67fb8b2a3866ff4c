"""What the composer of `examples/music` writes: the same notes for a seed, and music at that."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from examples.music.compose import bass, chords, drums, melody
from examples.music.compose.arrangement import CHANCES, FORMS, SHORT
from examples.music.compose.harmony import PROGRESSIONS, chord_on, progression, scale_of, voicing
from examples.music.compose.piece import compose
from examples.music.compose.score import STEMS, Piece
from examples.music.instruments import FONTS, PROGRAMS, SPLITS, TIM_KITS, VOICES

ROOT = Path(__file__).parents[3]
PIECES = [compose(split, 0, index, 45.0) for split in SPLITS for index in range(20)]


def digest(piece: Piece) -> str:
    """Of all that is heard; sets of roles have no order."""
    heard = (piece.tempo, piece.parts, piece.songs, piece.levels_db)
    return sha256(repr(heard).encode()).hexdigest()


@pytest.mark.parametrize("hashing", ["1", "2"])
def test_a_seed_gives_the_same_notes_in_every_process(hashing: str) -> None:
    code = (
        "from tests.training.music.test_compose import compose, digest;"
        "print(digest(compose('test', 3, 4, 45.0)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONHASHSEED": hashing, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == digest(compose("test", 3, 4, 45.0))


def test_other_seeds_pieces_and_splits_have_other_notes() -> None:
    others = [("train", 0, 0), ("train", 0, 1), ("train", 1, 0), ("valid", 0, 0), ("test", 0, 0)]
    assert len({digest(compose(*other, 45.0)) for other in others}) == len(others)


def test_splits_share_no_instrument_and_no_voice() -> None:
    for one, other in combinations(SPLITS, 2):
        kits = set(PROGRAMS[one]["drums"]) & set(PROGRAMS[other]["drums"])
        melodic = [
            {
                number
                for role, numbers in PROGRAMS[split].items()
                if role != "drums"
                for number in numbers
            }
            for split in (one, other)
        ]
        assert not kits
        assert not melodic[0] & melodic[1]
        mine, theirs = ({voice.size for voice in VOICES[split]} for split in (one, other))
        assert not mine & theirs
        assert not {v.name for v in VOICES[one]} & {v.name for v in VOICES[other]}


def test_the_document_has_the_table_of_splits() -> None:
    rows = {
        cells[0]: cells[1:]
        for line in (ROOT / "docs" / "training.md").read_text("utf-8").splitlines()
        if len(cells := [cell.strip() for cell in line.strip("| ").split("|")]) == 4
    }
    names = ("kits", "bass", "keys", "guitars", "pads", "leads", "arpeggios", "brass")
    for row, role in zip(names, PROGRAMS["train"], strict=True):
        for cell, split in zip(rows[row], SPLITS, strict=True):
            spans = [list(map(int, span.split("–"))) for span in cell.split(", ")]
            numbers = [n for span in spans for n in range(span[0], span[-1] + 1)]
            assert numbers == list(PROGRAMS[split][role]), (row, split)
    assert rows["voices"] == [str(len(VOICES[split])) for split in SPLITS]


def test_pieces_play_the_presets_of_their_split_from_fonts_that_have_them() -> None:
    for piece in PIECES:
        split = piece.name.split("-")[0]
        for part in piece.parts:
            preset = part.preset
            number = preset.program + (800 if preset.bank == 8 else 0)
            assert number in PROGRAMS[split][part.role]
            assert preset.bank == 128 or part.stem != "drums"
            assert preset.font in FONTS
            if preset.font == "tim":
                assert preset.bank == 0 or preset.program in TIM_KITS


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_a_piece_is_music(piece: Piece) -> None:
    assert 70 <= piece.tempo <= 170
    assert {part.stem for part in piece.parts} == {"drums", "bass", "other"}
    for notes in (*(p.notes for p in piece.parts), *(s.notes for s in piece.songs)):
        assert notes
        starts = [note.start for note in notes]
        assert starts == sorted(starts)
        assert starts[0] >= 0
        for note in notes:
            assert 20 <= note.pitch <= 108
            assert 1 <= note.velocity <= 127
            assert note.length > 0
    for song in piece.songs:
        assert all(song.voice.low <= note.pitch <= song.voice.high for note in song.notes)
    in_key = scale_of(piece.key, piece.mode)
    assert all(note.pitch % 12 in in_key for note in piece.songs[0].notes)
    assert len(piece.levels_db) == len(STEMS)
    assert all(abs(level) <= 5 for level in piece.levels_db)


def test_parts_enter_and_rest() -> None:
    """Sections lie end to end, every piece has a section with all stems, and most have breaks."""
    alone = 0
    for piece in PIECES:
        ends = [section.end for section in piece.sections]
        assert [section.start for section in piece.sections] == [0.0, *ends[:-1]]
        assert ends[-1] >= piece.beats
        full = [s for s in piece.sections if {"drums", "bass", "vocals"} <= s.roles]
        assert full
        alone += any(len(section.roles) <= 1 for section in piece.sections)
        for section in piece.sections:
            if section.name == "drum break":
                assert section.roles == {"drums"}
    assert alone >= len(PIECES) // 3


def test_no_stem_rests_all_the_time() -> None:
    """Chance alone left out all accompaniment of piece 183."""
    for index in range(175, 195):
        piece = compose("train", 0, index, 45.0)
        for stem in ("drums", "bass", "other"):
            played = [p for p in piece.parts if p.stem == stem and p.notes[0].start < piece.beats]
            assert played, (piece.name, stem)
        assert piece.songs[0].notes[0].start < piece.beats


def test_pieces_differ_in_more_than_notes() -> None:
    train = PIECES[:20]
    assert max(p.tempo for p in train) - min(p.tempo for p in train) > 40
    assert len({p.key for p in train}) >= 7
    assert len({p.parts[0].preset for p in train}) >= 8
    assert len({p.songs[0].voice.size for p in train}) == 20
    assert {p.meter for p in PIECES} == {3, 4}


def test_the_tables_fill_their_bars() -> None:
    for groove in drums.GROOVES.values():
        assert all(len(steps) == 16 for steps in groove.values()), groove
    for groove in drums.WALTZES.values():
        assert all(len(steps) == 12 for steps in groove.values()), groove
    for table in (*drums.GROOVES.values(), *drums.WALTZES.values(), drums.PERCUSSION, *drums.FILLS):
        assert set(table) <= set(drums.KEYS)
    assert all(len(steps) == 8 for fill in drums.FILLS for steps in fill.values())
    assert all(len(line.split()) in (8, 16) for line in bass.LINES.values())
    for rhythms in chords.RHYTHMS.values():
        assert all(len(rhythm) in (8, 16) for rhythm in rhythms)
    for rhythm in melody.RHYTHMS:
        assert sum(map(abs, rhythm)) == 8, rhythm
    for rows in PROGRESSIONS.values():
        assert all(0 <= degree <= 6 for degrees in rows for degree in degrees)
    assert {name for form in FORMS for name in form} | set(SHORT) == set(CHANCES)


def test_chords_are_what_their_degrees_say() -> None:
    assert chord_on(0, 0, "major", seventh=False).tones == (0, 4, 7)
    assert chord_on(1, 0, "major", seventh=True).tones == (2, 5, 9, 0)
    assert chord_on(4, 9, "minor", seventh=False).tones == (4, 8, 11)  # E major in A minor
    assert voicing(chord_on(0, 0, "major", seventh=False), 60) == [55, 60, 64]


def test_a_progression_covers_its_section() -> None:
    changes = progression(Random(1), 2, "minor", 16.0, 10.0, 4.0)
    assert [(change.start, change.length) for change in changes] == [(16, 4), (20, 4), (24, 2)]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a split of train, valid, test, got 'dev'"):
        compose("dev", 0, 0, 45.0)
    with pytest.raises(ValueError, match="at least 10 seconds, got 3"):
        compose("train", 0, 0, 3.0)
    with pytest.raises(ValueError, match="at least 10 seconds, got nan"):
        compose("train", 0, 0, float("nan"))
