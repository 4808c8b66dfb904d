"""Where a person's wishes come from: keyboards, gamepads, leader arms, and what stands in for a person."""
