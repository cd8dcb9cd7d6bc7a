"""The heart: what a breakage and a claim are, and the rules that move them."""
