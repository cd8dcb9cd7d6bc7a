"""What it costs to go on looking."""

import time

import psutil
from testing.screen import Screen
from testing.support import BUILDGUARD, Checkout

LOOKED_AT = 20.0
"""Seconds for which nothing happens."""


def test_an_idle_screen_takes_less_than_a_hundredth_of_a_core(checkout: Checkout) -> None:
    with Screen(checkout, 80, BUILDGUARD, "status", "--watch") as screen:
        screen.shows("no breakage known")
        process = psutil.Process(screen.process.pid)
        before, began = process.cpu_times(), time.monotonic()
        # The only way to measure what time costs.
        time.sleep(LOOKED_AT)
        after = process.cpu_times()
        spent = after.user + after.system - before.user - before.system
        assert spent / (time.monotonic() - began) < 0.01
