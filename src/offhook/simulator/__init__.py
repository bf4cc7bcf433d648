"""Realistic calls for any offhook: what is said, how ElevenLabs tells it, and a sender that signs it.

`offhook simulate` and `offhook demo` use it, and so do tests and benchmarks. For a person's eyes: `sender.place_calls` tells
whole calls. For a load: the functions of `bodies` make bodies of any size, and `deliveries.signature` proves them.
"""
