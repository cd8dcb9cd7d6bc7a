"""demo"""


def demo() -> int:
    """demo"""
    return 0
