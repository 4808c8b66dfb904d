"""Looking at demonstrations with a practitioner's eye: not what is damaged, but what will teach badly."""
