import os

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "agg")

# The same examples in every run: a failure can be repeated, and what passed passes again.
settings.register_profile("meanfree", deadline=None, derandomize=True)
settings.load_profile("meanfree")
