"""The command line tools that are nothing but tools; each module has a function ``main`` ([CLI-1])."""
