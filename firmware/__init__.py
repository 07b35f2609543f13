"""Allobox: the firmware of a home telephone box.

The house plan is docs/architecture.md; the way of a call starts in `firmware.fxs.port`
and ends in `firmware.telephony.agent`.
"""

__version__ = "0.1.0"
