"""`python -m buildguard`."""

from buildguard.main import start

start()
