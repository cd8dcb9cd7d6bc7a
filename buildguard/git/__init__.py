"""What git says, and what is read of its files."""
