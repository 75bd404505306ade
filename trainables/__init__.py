"""What one trial is: its config, networks, objectives, memory, negatives, task, probes, and the training loop."""
