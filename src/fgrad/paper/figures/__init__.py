"""The figures, drawn to files alone and alike, whatever the user's settings of matplotlib say."""

import os

from fgrad.errors import ConfigError

# Read when matplotlib is imported: of a notebook perhaps, or of another version.
os.environ["MPLBACKEND"] = "agg"
os.environ.pop("FREETYPE_PROPERTIES", None)

try:
    import matplotlib  # noqa: F401  to see whether it can be
except (OSError, ValueError) as error:  # of a file that is no text
    raise ConfigError(f"matplotlib's settings (matplotlibrc) cannot be read: {error}") from None
