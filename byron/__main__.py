"""`python -m byron`: the same as `byron-admin`."""

from byron.management.cli import main

main()
