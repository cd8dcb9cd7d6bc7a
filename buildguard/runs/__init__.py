"""One run serves all: whoever asks for the same check on the same files looks on."""
