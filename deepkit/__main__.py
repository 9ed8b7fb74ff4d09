"""`python -m deepkit` is the `deepkit` command."""

import sys

from deepkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
