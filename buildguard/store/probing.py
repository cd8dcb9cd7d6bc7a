"""Whether an engine keeps its word here: it can be written, shows what was written, and refuses a write with a
wrong expectation."""

import os

from buildguard.store.document import PROBE
from buildguard.store.register import Denied, Kept, Lost, Register, Unreachable

_TIMES = 3


def probe(register: Register) -> str:
    """What stands in the way, in one line; empty if nothing does. Writes one document of a few bytes."""
    unseen = f"{register.where} can be written, but what stands there cannot be read: nobody would win a claim"
    before, lost = Kept(), False
    for _ in range(_TIMES):
        try:
            outdated, before = before, register.load(PROBE)
        except (Unreachable, Denied) as error:
            return f"{register.where} cannot be read: {error}"
        if lost and before.token == outdated.token:
            return unseen
        try:
            register.swap(PROBE, before, os.urandom(8).hex(), "probe")
            return unseen if register.load(PROBE).token == before.token else _compared(register, before)
        except Lost:
            lost = True  # somebody else probes
        except (Unreachable, Denied) as error:
            return f"{register.where} can be read, but not written ({error}): nobody would see what is claimed here"
    return f"{register.where}: others write there all the time"


def _compared(register: Register, outdated: Kept) -> str:
    """The same for a write that expects what stands there no more."""
    try:
        register.swap(PROBE, outdated, os.urandom(8).hex(), "probe")
    except Lost:
        return ""
    except (Unreachable, Denied) as error:
        return f"{register.where} could be written once only: {error}"
    return f"{register.where} does not compare before it writes: two agents could win the same claim"
