"""What an organisation decides, and who may get in. One file a section.

section    what the sections share: their tabs, what was done, a change with its entry in the audit log
filled     a form as it was typed, with what is wrong beside each field
"""
