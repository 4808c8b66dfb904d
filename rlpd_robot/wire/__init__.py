"""Bytes and sockets; knows neither robots nor learners."""
