"""The behaviour of the queue as pure functions: no Ray, no file, no clock, no randomness."""
