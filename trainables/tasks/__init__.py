"""What is distilled on, and what generalisation is measured on. The union is the family's table."""

from trainables.tasks.digits import Digits

TaskConfig = Digits
