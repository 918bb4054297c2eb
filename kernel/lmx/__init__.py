"""The LMX kernel: finds, wires, supervises and routes; it knows no plugin."""

__version__ = "0.1.0"
