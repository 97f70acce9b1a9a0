"""`taskqueue bench`: what the queue does per second, beside what Ray itself does."""
