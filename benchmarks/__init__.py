"""How fast the port is, next to the reference: see `docs/benchmarks.md`.

`cases.py` is the table, `kinds/` what runs its rows, `timing.py` how all of them are timed,
`report/` what draws the records, `gate/` what holds one commit against another, `exports/` what
measures exported files for `docs/exporting.md`. Needs the extras `bench` and `reference`.
"""
