"""pyrolite."""
from pyrolite.constants import VERSION as __version__
