"""`meanfree report`: the theory beside simulation, chapter by chapter."""
