"""YAML settings; a package only so that Hydra finds them wherever the wheel is installed."""
