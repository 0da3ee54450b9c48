"""From works to shards: processes or Ray, in parts that go on after a kill."""
