"""A robot that happens to be MuJoCo: the Adroit hand behind the robot's own protocol."""
