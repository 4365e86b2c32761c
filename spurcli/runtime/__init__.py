"""What training, scoring and evaluation share once tensors are involved: devices, batches, forward passes."""
