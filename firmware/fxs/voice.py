"""The line's audio engine: one 10 ms frame in, one out. Echo, digits, tones and speech meet here.

`from_line` and `to_line` belong to the voice thread; the control methods may be called from any
other one: each is a single assignment that the next frame picks up, so nobody waits for anybody.
No I/O, no logging and no growing memory on the voice path.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from operator import add

from firmware.fxs import tones
from firmware.fxs.automatic_gain import AutomaticGain
from firmware.fxs.country import Country
from firmware.fxs.dsp.connecttones import FaxTones
from firmware.fxs.dsp.level import pcm_of, samples_of
from firmware.fxs.dsp.spandsp import NOTCHES_HZ
from firmware.fxs.dsp.vectors import peak
from firmware.fxs.dtmf import Detector, carries, generate
from firmware.fxs.echo import EchoCanceller
from firmware.fxs.fax_holes import HoleFiller
from firmware.fxs.levels import LineLevels
from firmware.fxs.overlay import NOTHING, Laid, Overlay
from firmware.fxs.pcm import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, SILENCE
from firmware.fxs.sources import FAR, Cut, Source, Speech, Tone
from firmware.fxs.splice import SpliceMender
from firmware.fxs.tones import crossfade, ramped

_OVER_VOICE = "call-waiting"
_DC_SMOOTHING = 32
_DC_AUDIBLE = 8
_ECHO_FRAMES = 12
"""A digit heard now may be the echo of one that the handset was sent 80 ms ago, and 40 more until it is believed."""
_FAR_HEARD = 300
"""A far voice below this peak (-41 dB of full scale) leaves no echo that the automatic gain would take for speech."""
_FAR_LINGERS = 15
"""Frames after one that its echo may still come back in."""
_PARTED_FRAMES = 100
"""Without a far end for so long (1 s) the call is over: what a fax machine said in it is forgotten."""
_WAY_FRAMES = 4
"""To the telephone and back (40 ms): between a frame's leaving and what answers it there are buffers."""

_MOST_DIGITS = 32
_DIGIT_MS, _PAUSE_MS = 100, 100
_DIGIT_LOW_DBM0, _DIGIT_HIGH_DBM0 = -8, -6


@functools.cache
def _digit_tone(digit: str) -> bytes:
    """A digit for the far end, in whole frames (ETSI ES 201 235-2: 65 ms and more, the high tone the louder)."""
    return generate(digit, on_ms=_DIGIT_MS, off_ms=_PAUSE_MS, low_dbm0=_DIGIT_LOW_DBM0, high_dbm0=_DIGIT_HIGH_DBM0)


class LineVoice:
    """One line's voice. `on_digit` and `on_speech_end` are called on the voice thread: they only queue.

    `mute_digits` (plain attribute) takes heard digits out of the voice before the codec, for calls
    that send them as RFC 4733. `suppress_echo` also lowers what the canceller's filters leave; a hands-free
    telephone wants an `echo_tail_ms` longer than a hybrid's (4 to 256). `on_fax` is called once a call in which either
    end was heard to be a fax machine or a modem (`fax`, "" until then): from then on the line is passed on bit for
    bit but for the gains, with no canceller, notch or digits, and a hole of the network is filled with the packet
    before (`fax_holes`), until the call is parted from the line.
    `reference_delay_frames` aligns the echo canceller with a sound device that plays that many frames late.
    `levels`: gains, hum, clipping. `automatic_gain` evens out the near voice; never without the canceller.
    `mend_splices`: of a far voice of 8 kHz (`splice`), by `from_bridge`. `clock`: as `EchoCanceller`'s.
    """

    def __init__(
        self,
        country: Country,
        *,
        on_digit: Callable[[str], None],
        on_speech_end: Callable[[], None],
        cancel_echo: bool = True,
        suppress_echo: bool = False,
        echo_tail_ms: int = 32,
        reference_delay_frames: int = 0,
        levels: LineLevels | None = None,
        automatic_gain: bool = False,
        clock: Callable[[], float] | None = None,
        mend_splices: bool = True,
        on_fax: Callable[[], None] = lambda: None,
    ) -> None:
        self._country = country
        self._on_fax = on_fax
        self._fax_tones = (FaxTones(), FaxTones())
        self._holes = HoleFiller()
        self._mender = SpliceMender() if mend_splices else None
        self._mend_afresh = False
        self.fax = ""
        self._parted = _PARTED_FRAMES
        self._on_digit = on_digit
        self._on_speech_end = on_speech_end
        self._canceller = EchoCanceller(echo_tail_ms, suppress=suppress_echo, clock=clock) if cancel_echo else None
        self._evener = AutomaticGain() if automatic_gain and cancel_echo else None
        self._far_lingers = 0
        self._detector = Detector()
        self._recent: deque[bytes] = deque(maxlen=reference_delay_frames + _ECHO_FRAMES)
        self._sent: deque[bytes] = deque(maxlen=reference_delay_frames + 1)
        self._delay = reference_delay_frames
        self.levels = levels if levels is not None else LineLevels()
        self._playing: Source = FAR
        self._wanted: Source = FAR
        self._laid: Overlay = NOTHING
        self._laid_wanted: Overlay = NOTHING
        self._listening = False
        self._reset_wanted = False
        self._hear_raw = False
        self._muted = False
        self._cut_frames = 0
        self._digits: deque[bytes] = deque()
        self._digit_at = 0
        self._dc = 0.0
        self.mute_digits = True
        self.tap: Callable[[bytes], object] | None = None
        """Gets each frame of the line as it came, on the voice thread: it may only keep it (`deque.append`)."""
        self._forget()
        # Rendered now, in milliseconds, rather than when a tone is first wanted.
        for name in country.tones:
            tones.render(country, name)

    # --- control, from any thread -----------------------------------------------------------

    def play_tone(self, name: str) -> None:
        """Play a tone for ever in place of the far voice (call waiting: over it). ValueError if unknown."""
        self._wanted = self._tone(name)

    def play_samples(self, pcm: bytes, then_tone: str | None = None) -> None:
        """Play 16-bit samples once, then a tone (None: the far voice); `on_speech_end` follows once,
        unless something else was asked for meanwhile. ValueError for half a sample or an unknown tone.
        """
        if len(pcm) % 2:
            msg = f"{len(pcm)} bytes are not whole 16-bit samples"
            raise ValueError(msg)
        after: Source = self._tone(then_tone) if then_tone is not None else FAR
        self._wanted = Speech(ramped(pcm), after, self._speech_ended)

    def interrupt(self, pcm: bytes, wait_ms: int) -> None:
        """Cut both speech directions: the handset hears 16-bit samples once, then silence, the far end silence.
        A digit may begin until `wait_ms` after the last sample has reached the telephone; then the far voice is
        back, and `on_speech_end` follows once, unless something else was asked for meanwhile. ValueError for
        half a sample.
        """
        if len(pcm) % 2:
            msg = f"{len(pcm)} bytes are not whole 16-bit samples"
            raise ValueError(msg)
        wait = wait_ms // FRAME_MS + _WAY_FRAMES + (self._sent.maxlen or 1) - 1 if wait_ms else 0
        self._wanted = Cut(pcm, wait, lambda: self._detector.suspect, self._speech_ended)

    def mix(self, pcm: bytes) -> None:
        """Lay 16-bit samples once over whatever the handset hears, which goes on under them; b"": no more of that.
        The far end hears nothing of it, nor of the handset meanwhile: an echo canceller that has learnt one voice
        lets enough of a beep back to be heard. Neither an interruption nor a fax is mixed with: what is left follows.
        ValueError for half a sample.
        """
        if len(pcm) % 2:
            msg = f"{len(pcm)} bytes are not whole 16-bit samples"
            raise ValueError(msg)
        self._laid_wanted = Laid(pcm) if pcm else NOTHING

    def sound_digit(self, digit: str) -> None:
        """Let the far end hear this digit's tone, one after the other, mixed with the handset's voice; no more than
        `_MOST_DIGITS` wait. ValueError for a key that no telephone has.
        """
        if len(self._digits) < _MOST_DIGITS:
            self._digits.append(_digit_tone(digit))

    def play_nothing(self) -> None:
        """No tone, no speech: the far voice passes, or silence."""
        self._wanted = FAR

    def listen(self, on: bool) -> None:  # noqa: FBT001 - a switch, as the contract has it
        """Whether digits are told."""
        self._listening = on

    def set_reference_delay(self, frames: int) -> None:
        """The sound device plays that many frames late from now on."""
        self._delay = frames

    def reset(self) -> None:
        """Another call, or the handset lifted anew: forget echo path, half-heard digits and what played."""
        self._wanted = FAR
        self._laid_wanted = NOTHING
        self._reset_wanted = True

    def _tone(self, name: str) -> Tone:
        samples = tones.render(self._country, name)
        return Tone(samples, over_voice=name == _OVER_VOICE, notched=self._country.tones[name].hertz() <= NOTCHES_HZ)

    # --- the voice thread -------------------------------------------------------------------

    def from_line(self, frame: bytes) -> bytes:
        """What the handset said in these 10 ms, cleaned, for the far end. `frame` has FRAME_BYTES."""
        return self._with_digits(self._near(frame))

    def _near(self, frame: bytes) -> bytes:
        if self._reset_wanted:
            self._reset_wanted = False
            self._forget()
        tap = self.tap  # once: the control loop may take it away meanwhile
        if tap is not None:
            tap(frame)
        if len(self._sent) != self._delay + 1:
            self._realign()
        if not self._playing.local and self._faxing(self._fax_tones[0], frame):
            return SILENCE if self._cut() else self.levels.to_far(frame)
        frame = self.levels.received(frame)
        cleaned = frame if self._canceller is None else self._canceller.cancel(frame, self._sent[0])
        if self._canceller is None or self._canceller.bypassed:  # else its first stage removed DC
            cleaned = self._without_dc(cleaned)
        local = self._playing.local
        # The canceller takes other countries' dial tones off the digits, and the far end's digits; but while
        # it still learns it can break a digit in two: a tone that the detector's notches remove goes raw
        # (until a digit under way, which may have stopped the tone, is over).
        if not self._detector.suspect:
            self._hear_raw = self._playing.notched
        heard = self._detector.feed(frame if self._hear_raw else cleaned)
        for digit in heard:
            if self._listening and not carries(b"".join(self._recent), digit.digit):
                self._on_digit(digit.digit)
                if isinstance(self._playing, Cut):
                    self._playing.prolong()
        cleaned = self.levels.to_far(cleaned)  # behind the digits: no gain makes them deaf
        if self._evener is not None:
            cleaned = self._evened(self._evener, cleaned)
        mute = self._cut() or (self.mute_digits and not local and self._detector.suspect)
        if mute == self._muted:
            return SILENCE if mute else cleaned
        self._muted = mute
        return crossfade(cleaned, SILENCE) if mute else crossfade(SILENCE, cleaned)

    def _evened(self, evener: AutomaticGain, cleaned: bytes) -> bytes:
        self._far_lingers = _FAR_LINGERS if peak(self._sent[0]) > _FAR_HEARD else max(0, self._far_lingers - 1)
        learn = not self._far_lingers and not self._detector.suspect
        fax = self._canceller is not None and bool(self._canceller.modem)
        return evener.apply(cleaned, learn=learn, bare=fax)

    def _with_digits(self, frame: bytes) -> bytes:
        """What the far end gets, and over it the tone of a digit that the handset has not made itself."""
        if not self._digits:
            return frame
        tone = self._digits[0]
        piece = tone[self._digit_at : self._digit_at + FRAME_BYTES]
        self._digit_at += FRAME_BYTES
        if self._digit_at >= len(tone):
            self._digits.popleft()
            self._digit_at = 0
        return pcm_of(map(add, samples_of(frame), samples_of(piece)))

    def _cut(self) -> bool:
        """Whether the far end hears nothing now: while both directions are cut or something is laid over the voice,
        and as long as that may echo.
        """
        if self._interrupted or not self._laid.over:
            self._cut_frames = len(self._sent) + _WAY_FRAMES
        elif self._cut_frames:
            self._cut_frames -= 1
        return self._cut_frames > 0

    @property
    def _interrupted(self) -> bool:
        return isinstance(self._playing, Cut) and not self._playing.over

    def from_bridge(self, far: bytes) -> bytes:
        """10 ms of the far voice with its splices mended, on the thread that fetched them from the bridge.

        That may be another line's: from a buffer between two clocks the frames come cut elsewhere, too late for this.
        """
        mender = self._mender
        if mender is None or self.fax:
            return far
        if self._mend_afresh:
            self._mend_afresh = False
            mender.reset()
        return mender.mend(far)

    def to_line(self, far: bytes | None) -> bytes:
        """The next 10 ms for the handset: `far`'s voice (None: nobody there), or what the box plays."""
        self._attend(far)
        voice = SILENCE if far is None else self._holes.fill(far) if self.fax else far
        wanted = self._wanted
        if wanted is self._playing:
            out = wanted.frame(voice)
        else:
            out = crossfade(self._playing.frame(voice), wanted.frame(voice))
            self._playing = wanted
        out = self.levels.to_line(self._lay(out))
        self._sent.append(out)
        self._recent.append(out)
        return out

    def _lay(self, frame: bytes) -> bytes:
        """What is laid over the frame, entered and left by a cross-fade."""
        # A beep would cost a fax its page.
        wanted = NOTHING if self.fax or self._interrupted else self._laid_wanted
        if wanted is self._laid:
            return wanted.frame(frame)
        if self._laid.over and wanted.over:
            self._laid = wanted
            return frame
        old, self._laid = self._laid, wanted
        return crossfade(old.frame(frame), wanted.frame(frame))

    def _attend(self, far: bytes | None) -> None:
        """Watch whether there is a far end, and what it is."""
        if far is not None:
            self._parted = 0
            if not self._playing.local:
                self._faxing(self._fax_tones[1], far)
            return
        self._mend_afresh = True
        if self._parted < _PARTED_FRAMES:
            self._parted += 1
            if self._parted == _PARTED_FRAMES:
                if self.fax:
                    self._forget()
                else:
                    self._forget_fax()

    def _faxing(self, listener: FaxTones, frame: bytes) -> bool:
        """Whether this is a fax call; `listener` hears `frame`. Not without a far end: who dials must be heard."""
        if self._parted == _PARTED_FRAMES:
            return False
        if not self.fax:
            self.fax = listener.feed(frame)
            if self.fax:
                self._on_fax()
        return bool(self.fax)

    def _forget_fax(self) -> None:
        self.fax = ""
        self._holes.reset()
        for listener in self._fax_tones:
            listener.reset()

    def _speech_ended(self, speech: Source) -> None:
        if self._wanted is speech:  # not when it was only fading out under what replaced it
            self._on_speech_end()

    def _without_dc(self, frame: bytes) -> bytes:
        samples = samples_of(frame)
        self._dc += (sum(samples) / FRAME_SAMPLES - self._dc) / _DC_SMOOTHING
        offset = round(self._dc)
        return frame if abs(offset) < _DC_AUDIBLE else pcm_of(sample - offset for sample in samples)

    def _realign(self) -> None:
        """The canceller's reference for a device that plays later, or sooner, than it did."""
        length = self._delay + 1
        kept = list(self._sent)[-length:]
        self._sent = deque([SILENCE] * (length - len(kept)) + kept, maxlen=length)
        self._recent = deque(self._recent, maxlen=self._delay + _ECHO_FRAMES)

    def _forget(self) -> None:
        self._forget_fax()
        self._mend_afresh = True
        self.levels.reset()
        if self._canceller is not None:
            self._canceller.reset()
        if self._evener is not None:
            self._evener.reset()
        self._far_lingers = 0
        self._detector.reset()
        self._recent.clear()
        self._muted = False
        self._cut_frames = 0
        self._digits.clear()
        self._digit_at = 0
        self._dc = 0.0
        self._sent.clear()
        self._sent.extend([SILENCE] * (self._sent.maxlen or 1))
