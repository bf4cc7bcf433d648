"""Voice providers: `contract` is what they say in offhook's words, one folder per provider is how they say it."""
