"""What the programs of the laboratory agree upon: names and tags in the name server."""

#: Names of instruments begin with this.
PREFIX = "lab.instrument."
#: The tag by which instruments are found; further ones say what kind of instrument it is.
TAG = "lab:instrument"
SUPERVISOR = "lab.supervisor"
#: Name and kind of the instruments that the supervisor starts.
INSTRUMENTS = {"oven": "oven", "balance": "balance", "spectrometer": "spectrometer"}
