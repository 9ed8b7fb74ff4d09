"""Recipes: each module reproduces one paper by one command, or defines the networks of one."""

import sys

from deepkit.utils.startup_messages import quiet_tensorflow

if sys.argv[:1] == ["-m"] and "--traceback" not in sys.argv:  # Python locates the module of `python -m recipes...`
    quiet_tensorflow()
