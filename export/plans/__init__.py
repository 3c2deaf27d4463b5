"""Plans: which modules compute in which type, and which layers keep how many bits."""
