"""offhook: a self-hosted backend for ElevenLabs voice agents that answer and place phone calls."""

__version__ = "0.1.0"
