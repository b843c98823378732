"""``python -m pyrolite.naming`` runs the name server."""

from pyrolite.naming.service import main

main()
