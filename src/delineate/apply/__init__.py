"""What is done with results: pictures, cut-outs, maps."""
