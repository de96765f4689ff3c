"""From the configuration and its tables to runs; torch is not imported."""
