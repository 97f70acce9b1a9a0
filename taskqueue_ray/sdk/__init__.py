"""What programs use: jobs, clients, handles. It talks to the queue through a `Transport` only."""
