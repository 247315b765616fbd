"""Work on several machines: Ray's workers hold the model, shards of vectors lie in a store that all of them reach."""
