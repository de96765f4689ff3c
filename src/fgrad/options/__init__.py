"""What one job may be asked; torch is not imported."""
