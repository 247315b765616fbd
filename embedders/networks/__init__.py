"""Own implementations of the official networks; imported only when an embedder is loaded."""
