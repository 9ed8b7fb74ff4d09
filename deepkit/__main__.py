"""`python -m deepkit` is the `deepkit` command."""

import sys

from deepkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
