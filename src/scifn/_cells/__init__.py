"""Models of cells: one model a file, arrays in, arrays out; no AnnData is seen here."""
