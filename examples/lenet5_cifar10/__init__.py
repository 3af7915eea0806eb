"""LeNet-5 on CIFAR-10."""
