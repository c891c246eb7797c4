"""What is done with masks: drawings, crops, maps."""
