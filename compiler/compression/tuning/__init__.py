"""Training compressed nets on: fine-tuning, distillation, quantization-aware training."""
