"""Robots behind a rosbridge server, ROS 1 or ROS 2; nothing of ROS is needed on this side."""
