"""What a disk may hold after a kill or a power cut, and what the product makes of it."""
