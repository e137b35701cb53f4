"""What is planned: studies, trials, seeds."""
