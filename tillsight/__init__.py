"""What programs that call TillSight import: `from tillsight.client import Client`."""
