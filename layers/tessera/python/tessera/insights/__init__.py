"""What is asked of many days at once: the questions of shoppers by likeness, and SQL over messages and facts."""
