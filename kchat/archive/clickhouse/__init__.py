"""Archives in ClickHouse. SQL that its version 18.16, of 2018, and today's understand alike: no window functions."""
