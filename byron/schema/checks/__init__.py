"""What schema.yaml may declare beyond its structure: one module for each kind of declaration."""
