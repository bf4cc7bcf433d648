"""Every conversation that ElevenLabs knows ends up here, or its absence has a name: for what no webhook brought.

rounds        every quarter of an hour, each connected organisation; or one, when somebody asks
turn          what ElevenLabs knows, what is here, what is fetched, what is not
retrieving    what is fetched becomes events, as if a webhook had brought them
comparing     what is missing, and the balance of each day (pure)
"""
