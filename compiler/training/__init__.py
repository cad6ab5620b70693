"""What training is made of: optimizers, schedules and metrics, one class each."""
