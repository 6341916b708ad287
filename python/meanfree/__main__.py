"""``python -m meanfree`` is the command ``meanfree``."""

import sys

from meanfree.cli import main

if __name__ == "__main__":
    sys.exit(main())
