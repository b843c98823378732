"""Gives clients control of this process. Only for clients that may do everything here!

The tool ``python -m pyrolite.utils.flameserver`` does the same (it needs PYRO_FLAME_ENABLED=1 in the environment).
"""

import pyrolite
from pyrolite.utils import flame

pyrolite.config.FLAME_ENABLED = True  # off by default
pyrolite.config.SERIALIZERS_ACCEPTED = {"pickle"}  # what Flame needs, and nothing else


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("flame is ready:", flame.start(daemon))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
