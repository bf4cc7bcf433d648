"""The doors: prove the sender, then file an event or greet a caller.

One event's way: the body streams through (HMAC and sha256 per piece, audio decoded to a file that nobody sees yet) -> its
signature is proven and its organisation known -> the inbox makes it durable -> 200 with the call id. Nothing about the JSON,
the agent or the audio of a proven event turns into another answer: ElevenLabs sends it once, and only exactly 200 is
success there.
"""
