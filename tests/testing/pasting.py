"""What an agent does with an answer: it runs the `next:` line as it stands, in a shell that knows no names."""

from testing.support import Checkout, Done


def following(done: Done) -> str:
    """The command of the one `next:` line."""
    (line,) = [line for line in (*done.out.splitlines(), *done.err.splitlines()) if line.startswith("next: ")]
    return line.removeprefix("next: ")


def pasted(checkout: Checkout, done: Done, **more: str) -> Done:
    """Run the command of the `next:` line. Nobody is named: what has to be known must stand in the line."""
    return checkout.run("sh", "-c", following(done), **more)
