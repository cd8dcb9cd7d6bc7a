"""Where states are kept."""
