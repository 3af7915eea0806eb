"""The course: learn deep learning by writing its gradients."""
