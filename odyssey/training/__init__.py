"""What every example's training needs: recipe, loop, metrics, logs."""
