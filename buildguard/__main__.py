"""`python -m buildguard`: the same command, for where the script is not on `PATH`."""

from buildguard.entry import main

main()
