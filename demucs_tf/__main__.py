"""`python -m demucs_tf` is the same as `demucs-tf`."""

import sys

from demucs_tf.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
