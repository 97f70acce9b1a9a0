"""The command `taskqueue`: a client of the SDK like any other."""
