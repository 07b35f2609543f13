"""Speech for the talk-off figures: espeak-ng's, as long as wanted, and people's, recorded for a package.

Synthetic speech is rendered once into `.cache/speech` (8 kHz, one file a voice and pitch) from sentences put together
by seed: French and English, thirty-two voices, high and low, slow and hurried.
"""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from firmware.fxs import wav
from tests.fakes import signals
from tests.system import fetch

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "speech"
_TALKING_DBM0 = -16.0
"""Louder than people on a line: the more there is to mistake."""

_FRENCH = {
    "who": "la voisine,mon oncle,le facteur,une cousine de Lille,notre médecin,le petit garçon,la dame du premier,"
    "un ancien collègue,toute la famille,le plombier,ma belle-sœur,l'institutrice,quelqu'un,le maire du village",
    "does": "a téléphoné,n'est pas venu,voudrait savoir,cherche partout,avait oublié,promet toujours,regardait passer,"
    "écoute à peine,rapporte souvent,viendra chercher,préfère de loin,attend encore,a laissé tomber,répare volontiers",
    "what": "les clés de la maison,une tarte aux mirabelles,le train de huit heures,son parapluie jaune,des nouvelles,"
    "un grand bouquet de lilas,la vieille bicyclette,le journal d'hier,cinq kilos de pommes,une lettre recommandée,"
    "les photos du mariage,le chat des voisins,un peu de silence,tout ce bruit,la facture d'électricité",
    "when": "hier soir,avant midi,dimanche prochain,depuis quinze jours,au mois d'août,vers sept heures et quart,"
    "pendant les vacances,sans prévenir,malgré la pluie,comme d'habitude,à la fin du mois,tôt le matin",
    "oh": "Allô ?,Oui oui.,Ah non !,Écoute,Tu sais,Attends une seconde.,Hein ?,D'accord.,Mais enfin !,Je t'embrasse.,"
    "Le zéro un quarante-deux soixante-huit cinquante-trois.,Trente-six quatre-vingt-dix-neuf.,Hmm.,Bof.,Hélas.",
}
_ENGLISH = {
    "who": "the neighbour,my uncle,the postman,a cousin from Leeds,our doctor,the little boy,the lady upstairs,"
    "an old colleague,the whole family,the plumber,my sister-in-law,the teacher,somebody,the mayor of the village",
    "does": "telephoned about,did not bring,would like to see,is looking for,had forgotten,always promises,"
    "was watching,hardly hears,often takes back,will come and fetch,"
    "much prefers,is waiting for,has dropped,gladly repairs",
    "what": "the keys of the house,a gooseberry pie,the eight o'clock train,his yellow umbrella,any news,"
    "a large bunch of lilac,the old bicycle,yesterday's paper,five pounds of apples,a registered letter,"
    "the wedding pictures,the neighbours' cat,some peace and quiet,all this noise,the electricity bill",
    "when": "last night,before noon,next Sunday,for a fortnight,in August,at about a quarter past seven,"
    "during the holidays,without a word,in spite of the rain,as usual,at the end of the month,early in the morning",
    "oh": "Hello?,Yes yes.,Oh no!,Listen,You know,Wait a second.,Eh?,All right.,For goodness' sake!,Love to everyone.,"
    "Oh one four two six eight five three double oh.,Nine nine nine three six.,Hmm.,Ooh.,Alas.",
}
_LANGUAGES = (
    ("fr-fr", _FRENCH),
    ("en-gb", _ENGLISH),
    ("fr-be", _FRENCH),
    ("en-us", _ENGLISH),
    ("fr-ch", _FRENCH),
    ("en-gb-scotland", _ENGLISH),
)
_TIMBRES = ("", "+f1", "+m3", "+f2", "+m7", "+f4", "+klatt2", "+m1", "+f5", "+Annie", "+m5", "+grandma", "+Andy", "+f3")


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice of espeak-ng with its pitch (0 to 99) and speed (words a minute)."""

    voice: str
    pitch: int
    words_a_minute: int
    seed: int


def speakers(count: int) -> list[Speaker]:
    """The first `count`, French and English in turn, no two alike."""
    return [
        Speaker(
            _LANGUAGES[index % len(_LANGUAGES)][0] + _TIMBRES[index * 5 % len(_TIMBRES)],
            pitch=(20, 50, 80, 35, 65, 95, 5)[index % 7],
            words_a_minute=(175, 140, 210, 160, 240)[index % 5],
            seed=index,
        )
        for index in range(count)
    ]


def spoken(speaker: Speaker, seconds: float) -> bytes:
    """So many seconds of a speaker, as a line's samples at a loud -16 dBm0. Raises OSError without espeak-ng."""
    key = sha256(f"{speaker} {seconds} {_FRENCH} {_ENGLISH}".encode()).hexdigest()[:16]
    file = _CACHE / f"{speaker.voice}-{key}.wav"
    if not file.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        pcm = _levelled(_rendered(speaker, seconds))
        part = file.with_suffix(f".{os.getpid()}-{speaker.seed}")
        wav.write(part, pcm)
        part.rename(file)
    return wav.read(file)


def synthetic(seconds: float, count: int = 42) -> list[bytes]:
    """`seconds` in all, of `count` speakers: a piece each."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(lambda speaker: spoken(speaker, seconds / count), speakers(count)))


def recorded() -> list[bytes]:
    """Every spoken prompt of the packages that tests fetch (French; English where it was fetched), as it is."""
    fetch.ensure("speech")
    # Two prompts are tones and not speech: a beep and a chord.
    left_out = {"beep", "beeperr", "ascending-2tone", "descending-2tone"}
    files = [file for file in sorted(fetch.SPEECH.rglob("*.wav")) if file.stem not in left_out]
    return [_levelled(wav.read(file)) for file in files if "silence" not in file.parts]


def _sentences(language: dict[str, str], rng: random.Random, count: int) -> str:
    parts = {kind: phrases.split(",") for kind, phrases in language.items()}
    said = []
    for _ in range(count):
        text = " ".join(rng.choice(parts[kind]) for kind in ("who", "does", "what", "when"))
        said.append(f"{text[0].upper()}{text[1:]}{rng.choice('.?!')} {rng.choice(parts['oh'])}")
    return "\n".join(said)


def _rendered(speaker: Speaker, seconds: float) -> bytes:
    language = next(words for name, words in _LANGUAGES if speaker.voice.partition("+")[0] == name)
    rng = random.Random(speaker.seed)  # noqa: S311 - the same speech every time
    pieces: list[bytes] = []
    wanted = 2 * round(seconds * signals.RATE)
    with tempfile.TemporaryDirectory() as folder:
        while sum(map(len, pieces)) < wanted:
            file = Path(folder) / "said.wav"
            subprocess.run(
                [
                    *("espeak-ng", "-v", speaker.voice, "-p", str(speaker.pitch)),
                    *(
                        "-s",
                        str(speaker.words_a_minute),
                        "-w",
                        str(file),
                        _sentences(language, rng, 2 + round(seconds / 8)),
                    ),
                ],
                check=True,
                timeout=120,
            )
            pieces.append(wav.read(file))
    return b"".join(pieces)[:wanted]


def _levelled(pcm: bytes) -> bytes:
    """At the talking level: silence between words is not counted."""
    samples = signals.samples(pcm)
    frames = samples[: len(samples) // 80 * 80].reshape(-1, 80)
    power = (frames**2).mean(axis=1)
    loud = power[power > power.max() * 1e-3] if power.size else power
    if not loud.size or not loud.mean():
        return pcm
    return signals.pcm(samples * signals.peak(_TALKING_DBM0) / np.sqrt(2 * loud.mean()))


def minutes(pieces: Sequence[bytes]) -> float:
    """How long they are together."""
    return sum(map(len, pieces)) / 2 / signals.RATE / 60
