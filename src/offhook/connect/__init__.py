"""An organisation's ElevenLabs workspace is set up, and what was set up is undone.

workspace   what is there, as ElevenLabs' API shows it
record      what connect made and changed, kept step by step
aims        what is wanted, and by which ids (pure)
changes     what is to be written so that nothing else changes (pure)
plan        what differs from what is wanted (pure): a row for each thing, with the deed that mends it
undoing     the same for the way back (pure)
deeds       each deed, done and recorded
variables   whether an agent's variables are filled (pure)
"""
