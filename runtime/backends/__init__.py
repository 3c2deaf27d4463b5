"""One way to run graphs per file. The packages they need are imported when they are asked for."""
