"""Adroit tasks as NumPy functions of the robot's state; no MuJoCo, so they run beside a real robot and its tracker."""
