"""AlexNet on CIFAR-10: explicit forward, explicit backward, training and inference."""
