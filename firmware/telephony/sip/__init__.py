"""The SIP agent's parts. `stack` is the box's only pjsua2 import, `native` its only way into the C library.

The rest is plain Python on values: reading messages (`message`, `identity`), judging senders
(`admission`), slots, back-off and words (`slots`, `retry`, `reasons`), names to addresses (`resolver`).
"""
