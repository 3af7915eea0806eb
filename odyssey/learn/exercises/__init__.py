"""The exercises, a file each; ``odyssey.learn.exercise`` says how one is written."""
