"""What holds for every test."""

from hypothesis import settings

# No test asserts how long an example takes: a machine that stalls must not fail one.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
