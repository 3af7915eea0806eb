"""ResNet-18 and its family on CIFAR-10."""
