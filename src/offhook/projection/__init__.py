"""The projection: what was filed becomes calls, contacts, notes and recordings, off the request's way.

    projector        what rang or was left behind goes through here, many conversations at a time
    isolation        what could not be read among others is tried again alone
    refolding        the same beside it, on request: what would change, and a database rebuilt
    conversations    between the inbox and the rows: loaded, settled, written
    sandbox          where events are read: a process that may hang, eat memory or die
    reader           that process
    gathering        pure: a conversation's events -> what they say together
    settling         pure: that, and what was asked before the call -> the call

A call is a fold of its events: the same events, in whatever order and however often, give the same call.
"""
