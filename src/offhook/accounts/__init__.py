"""The people who use the dashboard: how they get in, and who of them is what. Pages and commands alike come through here.

sign_ins   by e-mail and password, into a session
joining    by a link: the first user, an invitation, a forgotten password
members    who belongs to an organisation, as what
"""
