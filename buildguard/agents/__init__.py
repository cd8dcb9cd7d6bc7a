"""Who is calling, and what stands above us."""
