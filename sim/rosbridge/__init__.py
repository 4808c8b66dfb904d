"""A stand-in for ROS and its rosbridge server: enough of both to serve a simulated robot, quirks included."""
