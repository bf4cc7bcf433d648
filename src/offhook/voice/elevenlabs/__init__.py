"""ElevenLabs as it is on the wire: signatures, bodies, payloads. Its spellings come no further than this folder."""
