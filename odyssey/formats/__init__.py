"""Files of other tools: what they hold, read and written without these tools."""
