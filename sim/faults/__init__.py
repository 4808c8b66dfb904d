"""What goes wrong with robots, in small pieces that can be put together around any robot that is served."""
