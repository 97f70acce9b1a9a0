"""What runs in the processes that run job code: the fork server and its children."""
