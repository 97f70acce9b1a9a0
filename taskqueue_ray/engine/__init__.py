"""The queue as an ordinary object, and how its bytes are sealed: no Ray in here."""
