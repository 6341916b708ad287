import os
import signal

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "agg")

# The matrices of the tests are small: threads of numpy and torch would only wait for one another.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell script's background jobs ignore SIGINT, and so would the children that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run: a failure can be repeated, and what passed passes again.
settings.register_profile("meanfree", deadline=None, derandomize=True)
settings.load_profile("meanfree")
