"""Live connections: sockets and their frames, and how what is published reaches them."""
