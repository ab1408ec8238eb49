"""`python -m web.cli`: what `rapport` does, for the processes that `rapport run` starts."""

from web import lifeline
from web.cli import main

lifeline.follow()
main(prog_name="rapport")
