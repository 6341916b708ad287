import os
import signal

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "agg")

# A shell script's background jobs ignore SIGINT, and so would the children that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run: a failure can be repeated, and what passed passes again.
settings.register_profile("meanfree", deadline=None, derandomize=True)
settings.load_profile("meanfree")
