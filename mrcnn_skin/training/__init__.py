"""Training: the stages of a run, its loop, and the state it can go on from."""
