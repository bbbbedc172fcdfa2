"""Inference engines behind one protocol, the seamless scheduler, and the simulated world it is tried in."""
