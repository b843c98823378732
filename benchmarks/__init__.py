"""Side by side measurements of pyrolite, its relatives and a raw socket; see README.md in this directory."""
