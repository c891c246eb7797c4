"""`python -m delineate` is `delineate`."""

import sys

from delineate.cli import main

if __name__ == "__main__":
    sys.exit(main())
