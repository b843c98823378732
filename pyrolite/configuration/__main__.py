"""``python -m pyrolite.configuration``: print the configuration that is in effect ([CLI-26])."""

from __future__ import annotations

from pyrolite.configuration import main

if __name__ == "__main__":
    main()
