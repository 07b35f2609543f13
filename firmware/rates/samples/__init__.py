"""Sample price lists: in the manner of a webmail of 2010, a French box and a SIP operator. Nobody's real prices.

The last two are written as providers publish theirs (Windows-1252 with a title and ranges; cents without
tax, lists, dates with points), so that an import of them shows what the reader copes with.
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent
SAMPLE = _FOLDER / "webmail-2010.csv"
SAMPLE_NAME = "webmail-2010"
SAMPLES = (SAMPLE, _FOLDER / "box-francaise.csv", _FOLDER / "operateur-sip.csv")
