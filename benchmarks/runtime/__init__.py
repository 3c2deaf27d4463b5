"""Cost of the runtime around a session: memory, throughput of folders, overhead."""
