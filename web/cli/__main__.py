"""`python -m web.cli`: what `rapport` does, for the processes that `rapport run` starts."""

from web.cli import main

main(prog_name="rapport")
