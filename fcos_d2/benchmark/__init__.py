"""Speed, memory and size of a detector and of its exports on this machine."""
