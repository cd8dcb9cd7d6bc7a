"""`python -m buildguard`."""

from buildguard.main import main

main()
