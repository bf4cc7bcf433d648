"""An ElevenLabs without the internet: its API as the official SDK calls it, and its deliveries on the documented rules.

For tests, and for whoever develops against offhook. Calls are the simulator's; nothing here knows offhook's inside.
"""
